"""List what the encoder of a run confuses though it looks different: uv run python examples/diagnose.py RUN"""

from typing import Any

import tyro

import langfield


def main(run: str, same: float = 0.9) -> list[dict[str, Any]]:
    """Print blind pairs by colour and by shape, and give them."""
    scene, found = langfield.load(run), []
    for by in ("colour", "shape"):
        for pair in scene.blind(by, f"mmvp:same={same}", most=5):
            names = " and ".join(f"thing {pair[key]} ({text})" for key, text in zip("ab", pair["texts"], strict=True))
            print(f"{by}: {names}: {pair['same']:.2f} alike, {pair['apart']:.2f} by {by}")
            found.append(pair | {"by": by})
    return found


if __name__ == "__main__":
    tyro.cli(main, description=__doc__, config=(tyro.conf.PositionalRequiredArgs,))
