"""The kinds of things a town has, each a few boxes and ellipsoids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from town.paint import PLAIN, SPECKLES, STRIPES, WINDOWS
from town.shapes import BOX, ELLIPSOID

COLOURS = {
    "red": (0.80, 0.12, 0.10), "blue": (0.13, 0.27, 0.75), "green": (0.10, 0.52, 0.22), "yellow": (0.93, 0.80, 0.12),
    "white": (0.92, 0.92, 0.90), "black": (0.09, 0.09, 0.10), "orange": (0.95, 0.48, 0.08), "purple": (0.48, 0.18, 0.6),
}  # fmt: skip
RGB = tuple[float, float, float]
GREY, DARK, WOOD, LEAVES, GLASS = (
    (0.6, 0.6, 0.62),
    (0.08, 0.08, 0.09),
    (0.45, 0.3, 0.17),
    (0.14, 0.4, 0.12),
    (0.2, 0.28, 0.36),
)


@dataclass(frozen=True)
class Piece:
    """One shape of a thing, in the thing's own axes: x along it, z = 0 where it stands."""

    what: str
    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    colour: RGB
    form: int = BOX
    pattern: int = PLAIN


Build = Callable[[RGB, np.random.Generator], list[Piece]]


def box(
    what: str, base: tuple[float, float, float], sides: tuple[float, float, float], colour: RGB, pattern: int = PLAIN
) -> Piece:
    """Give a box by the middle of its base and its sides."""
    x, y, z = base
    a, b, c = sides
    return Piece(what, (x, y, z + c / 2), (a / 2, b / 2, c / 2), colour, BOX, pattern)


def ball(
    what: str, centre: tuple[float, float, float], half: tuple[float, float, float], colour: RGB, pattern: int = PLAIN
) -> Piece:
    """Give an ellipsoid."""
    return Piece(what, centre, half, colour, ELLIPSOID, pattern)


def house(colour: RGB, rng: np.random.Generator) -> list[Piece]:
    """A house with a flat roof that juts out and a door."""
    length, depth, height = rng.uniform(4.0, 5.4), rng.uniform(3.8, 5.0), rng.uniform(2.8, 5.6)
    roof = [(0.55, 0.22, 0.15), (0.32, 0.33, 0.36), (0.45, 0.36, 0.25)][rng.integers(3)]
    return [
        box("wall", (0, 0, 0), (length, depth, height), colour, WINDOWS),
        box("roof", (0, 0, height), (length + 0.5, depth + 0.5, 0.35), roof, STRIPES),
        box("door", (0.3, -depth / 2, 0), (0.9, 0.12, 1.9), WOOD),
        box("chimney", (length / 4, depth / 4, height + 0.35), (0.5, 0.5, 0.8), (0.5, 0.25, 0.2)),
    ]


def car(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A car."""
    return [
        box("body", (0, 0, 0.25), (3.6, 1.6, 0.6), colour),
        box("cabin", (-0.2, 0, 0.85), (1.9, 1.4, 0.5), GLASS),
        box("wheel", (1.1, 0, 0), (0.6, 1.66, 0.5), DARK),
        box("wheel", (-1.1, 0, 0), (0.6, 1.66, 0.5), DARK),
    ]


def truck(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A truck."""
    return [
        box("container", (-0.7, 0, 0.5), (3.4, 1.8, 1.9), colour, STRIPES),
        box("cabin", (1.6, 0, 0.4), (1.1, 1.7, 1.4), GREY),
        box("wheel", (0, 0, 0), (4.0, 1.6, 0.5), DARK),
    ]


def bus(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A bus."""
    return [box("body", (0, 0, 0.35), (5.4, 1.8, 2.0), colour, WINDOWS), box("wheel", (0, 0, 0), (4.2, 1.7, 0.4), DARK)]


def tree(_: RGB, rng: np.random.Generator) -> list[Piece]:
    """A tree with a round crown."""
    wide, height = rng.uniform(0.9, 1.5), rng.uniform(2.0, 3.4)
    return [
        box("trunk", (0, 0, 0), (0.3, 0.3, height), WOOD),
        ball("crown", (0, 0, height + 0.4), (wide, wide, wide * 1.1), LEAVES, SPECKLES),
    ]


def bush(_: RGB, rng: np.random.Generator) -> list[Piece]:
    """A bush."""
    wide = rng.uniform(0.5, 0.9)
    return [ball("leaves", (0, 0, 0.35), (wide, wide, 0.6), (0.22, 0.48, 0.14), SPECKLES)]


def bench(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A bench."""
    return [
        box("seat", (0, 0, 0.4), (1.8, 0.6, 0.12), colour, STRIPES),
        box("back", (0, 0.28, 0.5), (1.8, 0.1, 0.6), colour),
        box("leg", (0.7, 0, 0), (0.12, 0.5, 0.4), DARK),
        box("leg", (-0.7, 0, 0), (0.12, 0.5, 0.4), DARK),
    ]


def lamp(_: RGB, __: np.random.Generator) -> list[Piece]:
    """A street lamp."""
    return [
        box("post", (0, 0, 0), (0.2, 0.2, 3.2), DARK),
        ball("bulb", (0, 0, 3.4), (0.4, 0.4, 0.35), (0.98, 0.95, 0.7)),
    ]


def hydrant(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A fire hydrant."""
    return [box("post", (0, 0, 0), (0.4, 0.4, 0.8), colour), ball("cap", (0, 0, 0.85), (0.3, 0.3, 0.25), colour)]


def mailbox(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A mailbox."""
    return [box("post", (0, 0, 0), (0.15, 0.15, 0.7), WOOD), box("body", (0, 0, 0.7), (0.8, 0.5, 0.55), colour)]


def trash_can(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A trash can."""
    return [box("body", (0, 0, 0), (0.7, 0.7, 0.95), colour), box("lid", (0, 0, 0.95), (0.8, 0.8, 0.1), DARK)]


def cone(_: RGB, __: np.random.Generator) -> list[Piece]:
    """A traffic cone."""
    orange = COLOURS["orange"]
    return [
        box("foot", (0, 0, 0), (0.6, 0.6, 0.08), orange),
        ball("cone", (0, 0, 0.1), (0.22, 0.22, 0.8), orange, STRIPES),
    ]


def tent(colour: RGB, _: np.random.Generator) -> list[Piece]:
    """A tent."""
    return [ball("cloth", (0, 0, 0), (1.4, 1.1, 1.3), colour, STRIPES)]


def pool(_: RGB, __: np.random.Generator) -> list[Piece]:
    """A swimming pool."""
    return [
        box("rim", (0, 0, 0), (3.0, 2.2, 0.30), (0.85, 0.85, 0.8)),
        box("water", (0, 0, 0.30), (2.6, 1.8, 0.03), (0.15, 0.6, 0.85)),
    ]


def fountain(_: RGB, __: np.random.Generator) -> list[Piece]:
    """A fountain."""
    return [
        box("basin", (0, 0, 0), (2.2, 2.2, 0.5), GREY),
        box("water", (0, 0, 0.5), (1.9, 1.9, 0.03), (0.25, 0.6, 0.85)),
        box("column", (0, 0, 0.5), (0.4, 0.4, 1.0), GREY),
        ball("bowl", (0, 0, 1.5), (0.7, 0.7, 0.2), GREY),
    ]


def statue(_: RGB, __: np.random.Generator) -> list[Piece]:
    """A statue."""
    bronze = (0.35, 0.42, 0.30)
    return [
        box("plinth", (0, 0, 0), (1.0, 1.0, 0.8), GREY),
        ball("body", (0, 0, 1.5), (0.35, 0.3, 0.8), bronze),
        ball("head", (0, 0, 2.45), (0.24, 0.24, 0.28), bronze),
    ]


@dataclass(frozen=True)
class Kind:
    """A kind of thing and where it may stand."""

    name: str
    build: Build
    coloured: bool
    """Comes in all colours, and has its colour in its name."""
    where: str
    """"lot", "road" or "pavement"."""
    weight: float
    """How common it is there."""


HOUSE = Kind("house", house, True, "lot", 1.0)
KINDS = (
    Kind("car", car, True, "road", 5), Kind("truck", truck, True, "road", 1.5), Kind("bus", bus, True, "road", 1),
    Kind("street lamp", lamp, False, "pavement", 2), Kind("bench", bench, True, "pavement", 2),
    Kind("fire hydrant", hydrant, True, "pavement", 1), Kind("mailbox", mailbox, True, "pavement", 1),
    Kind("trash can", trash_can, True, "pavement", 1.5), Kind("traffic cone", cone, False, "pavement", 1),
    Kind("tree", tree, False, "lot", 4), Kind("bush", bush, False, "lot", 2), Kind("tent", tent, True, "lot", 1),
    Kind("swimming pool", pool, False, "lot", 0.8), Kind("fountain", fountain, False, "lot", 0.6),
    Kind("statue", statue, False, "lot", 0.6),
)  # fmt: skip
