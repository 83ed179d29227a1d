"""The timeline: which thing is in which state at which step, and where everything stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tabletop_objects import changing, desk, food, kitchen, toys
from tabletop_objects.things import Thing

STEPS = 100


@dataclass(frozen=True)
class Change:
    """A passage to the other state."""

    middle: float
    """Step at which it is half done; not a whole number, so that every step has one state."""
    lasts: float
    """Steps from start to end; 1 is at once."""


@dataclass(frozen=True)
class Actor:
    """A thing that changes between two states."""

    name: str
    make: Callable[[float], Thing]
    place: tuple[float, float]
    """Metres from the table's centre."""
    heading: float
    """Degrees about +z."""
    states: tuple[str, str]
    """Names of what it is at 0 and at 1; it starts at 0."""
    changes: tuple[Change, ...]
    never: str
    """A state that is asked about and does not occur."""

    def amount(self, step: int) -> float:
        """Give how far it is from the first state (0) to the second (1)."""
        value = 0.0
        for k, change in enumerate(self.changes):
            t = float(np.clip((step - change.middle) / change.lasts + 0.5, 0.0, 1.0))
            eased = t * t * (3 - 2 * t)
            value += eased if k % 2 == 0 else -eased
        return value

    def state(self, step: int) -> str:
        """Give the state at a step: the second one from half way on."""
        return self.states[int(self.amount(step) > 0.5)]

    def intervals(self, state: str) -> list[list[int]]:
        """Give first and last step, both included, of every stretch in a state."""
        inside = [False, *(self.state(step) == state for step in range(STEPS)), False]
        starts = [i for i in range(STEPS) if inside[i + 1] and not inside[i]]
        ends = [i for i in range(STEPS) if inside[i + 1] and not inside[i + 2]]
        return [[a, b] for a, b in zip(starts, ends, strict=True)]


ACTORS = (
    Actor("lamp", changing.lamp, (-0.26, 0.20), 0, ("unlit", "lit"),
          (Change(18.5, 1), Change(45.5, 1), Change(71.5, 1)), "cracked"),
    Actor("bottle", changing.bottle, (0.06, 0.26), -12, ("upright", "fallen"),
          (Change(30.5, 5), Change(63.5, 6)), "shattered"),
    Actor("box", changing.box, (-0.05, 0.08), 12, ("closed", "open"),
          (Change(23.5, 5), Change(55.5, 5), Change(84.5, 5)), "crushed"),
    Actor("bowl", changing.bowl, (0.17, -0.09), 0, ("empty", "full"),
          (Change(38.5, 6), Change(78.5, 6)), "overturned"),
    Actor("bread", changing.bread, (-0.19, -0.14), 8, ("whole", "split"), (Change(50.5, 6),), "burnt"),
)  # fmt: skip
"""What changes; instance ids are 1 + the place in this table, and the things that stand still come after."""


def still_things() -> list[Thing]:
    """Give what never changes."""
    placed = [
        (kitchen.teapot(), 0.38, 0.34, 215),
        (desk.globe(), -0.10, 0.38, 20),
        (toys.duck(), 0.02, -0.29, -70),
        (food.apple("apple", "#b3121d", "#d94a2a", 1), -0.40, -0.02, 0),
        (desk.alarm_clock(), 0.37, -0.13, -115),
    ]
    return [thing.turned("z", heading).moved((x, y, 0.0)) for thing, x, y, heading in placed]


def moving_things(step: int) -> list[Thing]:
    """Give what changes, as it is at a step."""
    return [a.make(a.amount(step)).turned("z", a.heading).moved((*a.place, 0.0)) for a in ACTORS]
