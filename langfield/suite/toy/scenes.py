"""Scenes of one to three things whose colours, shapes and relations are never ambiguous, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from langfield.errors import SettingsError
from langfield.suite.toy.words import COLOURS, SHAPES, SIZES, TEXTURES, UNTAUGHT_SHAPES

SIDE_PX = 64
RADII_PX = {"small": (7.0, 8.5), "big": (11.5, 13.5)}
CLEAR_PX = 4.0  # the two axes of a relation differ by at least this, so one of four relations holds and no other
GAP_PX = 2.0
MIDDLE_PX = 8.0
TRIES = 60


@dataclass(frozen=True)
class Thing:
    """One thing: what it is and where its centre lies (pixels, x to the right, y down)."""

    shape: str
    colour: str
    texture: str
    size: str
    x: float
    y: float
    radius: float

    @property
    def place(self) -> str:
        """Where it lies in the picture: of PLACES, by the larger offset from the centre."""
        dx, dy = self.x - SIDE_PX / 2, self.y - SIDE_PX / 2
        if max(abs(dx), abs(dy)) < MIDDLE_PX:
            return "middle"
        if abs(dx) >= abs(dy):
            return "left" if dx < 0 else "right"
        return "top" if dy < 0 else "bottom"


@dataclass(frozen=True)
class Scene:
    """Things that do not touch, on a floor of no particular look; `seed` draws that floor."""

    things: tuple[Thing, ...]
    seed: int


def relation(a: Thing, b: Thing) -> str:
    """Say how `a` lies to `b`: of RELATIONS, by the larger distance."""
    dx, dy = a.x - b.x, a.y - b.y
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def make_scene(seed: int, count: int | None = None, shapes: Sequence[str] = SHAPES) -> Scene:
    """Make a scene: no two of its things share a shape or a colour, and one relation holds of any two.

    Args:
        seed: from which everything follows.
        count: how many things, 1 to 3; None draws it.
        shapes: shapes to choose from; at least `count` different ones.

    Raises:
        SettingsError: more things than fit, or than there are shapes; a shape nobody can draw.
    """
    if count is not None and not 1 <= count <= min(3, len(set(shapes))):
        raise SettingsError("a toy scene holds 1 to 3 things of different shapes", f"{count} of {len(set(shapes))}")
    if unknown := sorted(set(shapes) - {*SHAPES, *UNTAUGHT_SHAPES}):
        raise SettingsError(f"the toy world has no shape {unknown[0]!r}")
    rng = np.random.default_rng([seed, 1])
    number = count or int(rng.integers(1, min(3, len(set(shapes))) + 1))
    forms = [tuple(shapes)[i] for i in rng.permutation(len(shapes))[:number]]
    colours = [list(COLOURS)[i] for i in rng.permutation(len(COLOURS))[:number]]
    textures = [TEXTURES[i] for i in rng.choice(len(TEXTURES), number, p=(0.5, 0.25, 0.25))]
    sizes = [SIZES[i] for i in rng.integers(len(SIZES), size=number)]
    places = _places(rng, sizes)
    looks = zip(forms, colours, textures, sizes, places, strict=True)
    return Scene(tuple(Thing(f, c, t, s, *place) for f, c, t, s, place in looks), seed)


def _places(rng: np.random.Generator, sizes: Sequence[str]) -> list[tuple[float, float, float]]:
    """Draw centres and radii until nothing touches and every relation is clear."""
    while True:
        found: list[tuple[float, float, float]] = []
        for numbers in rng.random((TRIES, 3)):
            low, high = RADII_PX[sizes[len(found)]]
            radius = low + (high - low) * numbers[0]
            x, y = radius + 1 + (SIDE_PX - 2 * radius - 2) * numbers[1:]
            if all(_apart(x, y, radius, other) for other in found):
                found.append((float(x), float(y), float(radius)))
            if len(found) == len(sizes):
                return found


def _apart(x: float, y: float, radius: float, other: tuple[float, float, float]) -> bool:
    dx, dy = abs(x - other[0]), abs(y - other[1])
    return abs(dx - dy) >= CLEAR_PX and (dx * dx + dy * dy) ** 0.5 >= radius + other[2] + GAP_PX
