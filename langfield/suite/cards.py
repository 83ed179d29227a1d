"""Cards of all systems of the suite, built or not: title, paper, licences, evidence, known faults (`cards.toml`)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langfield.suite.families import FAMILIES, built

FILE = Path(__file__).with_name("cards.toml")
CORE = "core"
PLANNED = {
    "dense": "features of every pixel, before a field is trained",
    "train": "recipes that train an encoder",
    "caption": "words for what is selected",
    "measure": "measurements of an encoder",
    "seal": "heads that work for their owner only",
}
"""Families of which nothing is built yet, and what they are for."""
Status = Literal["core", "built", "not built"]


@dataclass(frozen=True)
class Card:
    """What is known of one system."""

    name: str
    """Its name on the command line."""
    title: str
    paper: str
    family: str
    idea: str
    code: str
    """Licence of the authors' code. Ours is written from the paper, never ported where it forbids that."""
    evidence: Literal["code", "partial", "abstract"]
    """What the card rests on: the authors' code; parts of it; the abstract alone, so that constants are ours."""
    weights: tuple[str, ...] = ()
    """Names of published weights or of the encoder it was published with; their licences are on their pages."""
    fault: str = ""
    """What is known to be wrong in the release."""

    @property
    def status(self) -> Status:
        """Whether it is part of the core, built as a method, or known by its card alone."""
        if self.family == CORE:
            return "core"
        return "built" if built().get(self.name) == self.family else "not built"


def cards() -> dict[str, Card]:
    """Give all cards by name, in the order of `cards.toml`."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: Card(name, **row | {"weights": tuple(row.get("weights", ()))}) for name, row in rows.items()}


def table(begin: str = "") -> str:
    """Give the cards as a Markdown table.

    Args:
        begin: put before every line.
    """
    mark = {"core": "core", "built": "yes", "not built": "not yet"}
    lines = ["| name | built | family | what it does | paper |", "|---|---|---|---|---|"]
    for card in cards().values():
        row = (f"`{card.name}`", mark[card.status], card.family, card.idea, f"{card.title} ({card.paper})")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(begin + line for line in lines)


def families() -> tuple[str, ...]:
    """Give the names of all families."""
    return (CORE, *FAMILIES, *PLANNED)
