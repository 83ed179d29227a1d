"""Teach a run a name nobody knows by one example: uv run python examples/teach.py RUN "my mug" 17"""

from pathlib import Path

import tyro

import langfield
from langfield.suite.head import write_head


def main(run: str, name: str, thing: int) -> int | None:
    """Teach, keep the head where the viewer finds it, ask for it; give the number of the thing found."""
    scene = langfield.load(run)
    head = scene.teach({name: [thing]}, method="gda")
    path = Path(scene.run.path, "heads", "example.safetensors")
    write_head(path, head)
    answer = scene.ask(head=path)
    print(f"{name}: thing {answer.instance}, {answer.verdict}; {dict(head.about)}")
    print(f"langfield query {scene.run.path} --head {path}")
    return answer.instance


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
