"""Ask a run for a thing by every method of the family `ask`: uv run python examples/ask.py RUN "red mug" """

import tyro

import langfield
from langfield.suite.families import FAMILIES, method


def main(run: str, text: str) -> dict[str, int | None]:
    """Print what each method finds, and give the thing's number by method."""
    scene, found = langfield.load(run), {}
    for by in [None, *FAMILIES["ask"][0]]:
        if by and getattr(method("ask", by), "TOGETHER", False):
            continue  # it tells a change, and takes what it was and what it is
        answer = scene.ask(text, by=by)
        print(f"{by or 'plain text':<14} thing {answer.instance}, {answer.verdict}, relevancy {answer.score:.3f}")
        found[by or "plain text"] = answer.instance
    return found


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
