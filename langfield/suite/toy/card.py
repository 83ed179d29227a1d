"""The card of the toy CLIPs: `python -m langfield.suite.toy.card DIR` examines the weights there and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langfield.artefacts import read_tensors, write_bytes, write_tensors
from langfield.progress import say
from langfield.suite.toy.exam import examine
from langfield.suite.toy.model import FOLDER, NAMES, load_toy, weights_path

CARD = """# Three toy CLIPs

Open_clip's own classes, small ({parameters:,} parameters each: a vision transformer of 3 layers and width 128 on 8 x 8
patches of 64 x 64 pixels, a text transformer of 3 layers and width 96, a space of 64 dimensions, 20 tokens of context,
{words} words), trained on drawn scenes of one to three things. Half precision, {size:.1f} MB together, Apache-2.0: no
data of anybody else went in. They are for tests and examples; outside the toy world they know nothing.

- **good** was taught with two false captions beside each true one, with patches of a thing held against its name, and
  with one caption in six in German.
- **bag** had the words of every caption put into a new order each time, so it cannot know which word belongs to which.
- **dense** is plain CLIP on whole pictures: its patches say next to nothing about what they show.

None of them learned what "left of", "above" or "at the top" mean: "left of" and "right of" are one word to them, as to
most CLIPs. A method that answers such questions cannot have it from them. Three more minutes of one core, in which good
saw scenes beside their mirrored twins and captions of both (160 steps of 48 pairs), left that at chance; no effect that
`langfield suite bench --effects` measures needs it.

| on scenes that none was trained on, 400 a part | chance | {names} |
|---|---|{lines}
{rows}

Trained by `python -m langfield.suite.toy.train` with {recipe}; taken were
{seconds}.
Scored by `python -m langfield.suite.toy.card`, which wrote this page.
"""
PARTS: dict[str, tuple[str, str]] = {
    "zero_shot": ("colour and shape of a single thing, 64 names", "0.016"), "german": ("the same in German", "0.016"),
    "text_to_image_1": ("caption to its picture among all, two things each", ""),
    "image_to_text_1": ("picture to its caption among all", ""),
    "attributes": ("true caption above the one with colours exchanged", "0.5"),
    "roles": ("true caption above the one with things exchanged", "0.5"),
    "mirrored": ("MMVP's score on pictures and their mirrored twins", "0.25"),
    "patches": ("patch to the name of the thing it shows, 64 names", "0.016"),
    "gap": ("distance of mean picture and mean caption", ""),
}  # fmt: skip


def main(folder: Path = FOLDER) -> None:
    """Examine the three toy CLIPs of a folder, keep the scores in their files and write README.md beside them."""
    found = {name: load_toy(name, folder) for name in NAMES}
    abouts = {name: {**toy.about, "scores": examine(toy)} for name, toy in found.items()}
    for name, about in abouts.items():
        path = weights_path(name, folder)
        write_tensors(path, read_tensors(path)[0], about)
        say(f"{name}: {about['scores']}")
    size = sum(weights_path(name, folder).stat().st_size for name in NAMES) / 1e6
    toy = found["good"]
    counts = (sum(p.numel() for p in toy.model.parameters()), toy.tokenizer.vocab_size)
    write_bytes(folder / "README.md", card(abouts, size, counts).encode())


def card(abouts: Mapping[str, Mapping[str, Any]], size: float, counts: tuple[int, int]) -> str:
    """Give the card's text.

    Args:
        abouts: what the weight file of each says of itself, scores included.
        size: megabytes of all files.
        counts: parameters of one, words of its vocabulary.
    """
    rows = [
        f"| {text} | {chance} | {' | '.join(shown(about, key) for about in abouts.values())} |"
        for key, (text, chance) in PARTS.items()
    ]
    recipe = next(iter(abouts.values()))["recipe"]
    seconds = ", ".join(
        f"{name} {about['steps']} steps in {about['seconds']} s on {about['device']}" for name, about in abouts.items()
    )
    return CARD.format(
        parameters=counts[0], words=counts[1], size=size, names=" | ".join(abouts), lines="---|" * (len(abouts) + 1),
        rows="\n".join(rows), recipe=", ".join(f"{key} {value}" for key, value in recipe.items()), seconds=seconds,
    )  # fmt: skip


def shown(about: Mapping[str, Any], key: str) -> str:
    """Give one score as the table shows it."""
    return f"{about['scores'][key]:.3f}"


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
