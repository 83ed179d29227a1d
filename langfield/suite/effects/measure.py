"""Measures claims seed by seed; what is in a table already, made by the same code, is not measured again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from langfield.artefacts import content_key
from langfield.errors import SettingsError
from langfield.progress import track
from langfield.suite.effects import METHODS, ground
from langfield.suite.effects.types import SEEDS, Effect, verdict
from langfield.suite.families import built, method

DIGITS = 4
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """A claim of a method, and the key of the code that it is measured by."""

    method: str
    effect: Effect
    key: str

    def row(self, seeds: Mapping[str, Sequence[float]]) -> Row:
        """Give the claim with what was measured: by seed the number without the method and with it."""
        gains = {int(seed): after - before for seed, (before, after) in seeds.items()}
        mean = round(sum(gains.values()) / len(gains), DIGITS) if gains else None
        about = {"claim": self.effect.claim, "ground": self.effect.ground, "measure": self.effect.measure}
        found = {"least": self.effect.least, "seeds": dict(seeds), "gain": mean}
        return {
            "method": self.method,
            **about,
            **found,
            "reproduced": verdict(self.effect.least, gains),
            "key": self.key,
        }


def jobs(names: Sequence[str] = ()) -> list[Job]:
    """Give the claims of methods; of all that are built where none is named.

    Raises:
        SettingsError: nothing is claimed of a method.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise SettingsError(f"no effect of {unknown[0]!r} is measured", remedy=f"choose of: {', '.join(METHODS)}")
    return [job for name in names or METHODS if name in built() for job in _claims(name)]


def measure(chosen: Sequence[Job], kept: Sequence[Row], keep: Callable[[list[Row]], None]) -> list[Row]:
    """Measure claims for all seeds.

    Args:
        chosen: the claims.
        kept: rows of an earlier table; those made by the same code count as measured.
        keep: takes the table after every step.

    Returns:
        A row a claim.
    """
    known = {(row["method"], row["claim"], row["key"]): row["seeds"] for row in kept}
    seeds = {job: dict(known.get((job.method, job.effect.claim, job.key), {})) for job in chosen}
    left = [(job, seed) for job in chosen for seed in SEEDS if str(seed) not in seeds[job]]
    for job, seed in track(left, "effects"):
        seeds[job][str(seed)] = [round(number, DIGITS) for number in job.effect.measured(seed)]
        keep([job.row(seeds[job]) for job in chosen])
    return [job.row(seeds[job]) for job in chosen]


def _claims(name: str) -> list[Job]:
    module = import_module(METHODS[name])
    files = (module.__file__, method(built()[name], name).__file__, ground.__file__)
    key = content_key(*(Path(file or "").read_text(encoding="utf-8") for file in files))[:16]
    return [Job(name, effect, key) for effect in module.EFFECTS]
