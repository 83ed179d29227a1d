"""What a claim is, and what measuring it gave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Effect:
    """A claim of a paper, and how it is measured here."""

    claim: str
    ground: str
    """What it is measured on."""
    measure: str
    """What the two numbers are; more is better."""
    least: float | None
    """By how much the number with the method must be above the other for every seed; None where the claim, measured as
    it stands, is known not to reproduce here."""
    measured: Callable[[int], tuple[float, float]]
    """A seed to the number without the method and with it."""


def verdict(least: float | None, gains: Mapping[int, float]) -> str:
    """Say whether a claim reproduced: "yes" by its margin for every seed, "weakly" on the mean alone, "no"."""
    values = list(gains.values())
    if values and least is not None and min(values) > least:
        return "yes"
    if values and least is not None and sum(values) / len(values) > 0 and len(values) == len(SEEDS):
        return "weakly"
    return "no"
