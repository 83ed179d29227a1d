"""The town's plan: square cells with a road along two sides and a lot, each drawn from the seed and its place alone."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from town.paint import PAVEMENT_M, ROAD_M
from town.shapes import Shapes, joined
from town.things import COLOURS, HOUSE, KINDS, Kind, Piece

CELL_M = 12.0
MOST_THINGS = 8
"""In a cell: ids of its things follow from the cell's number."""
MARGIN = 4
"""Cells around what is photographed, for what is seen from its border."""
HOUSE_SHARE = 0.65
KEPT_CELLS = 2048
LOT_CORNERS = ((5.0, 5.0), (10.6, 5.0), (5.0, 10.6), (10.6, 10.6))
"""Where else than in its middle a lot has room, in the cell's own coordinates."""


class Cell(NamedTuple):
    """One cell's shapes, the names of their pieces, and its things."""

    shapes: Shapes
    pieces: tuple[str, ...]
    names: dict[int, str]
    """By id."""


@dataclass(frozen=True)
class _Place:
    at: tuple[float, float]
    turn: float


class Town:
    """All cells of a square town; made when asked for, the last ones kept.

    Args:
        side: cells along each side of what is photographed.
        seed: decides everything.
    """

    def __init__(self, side: int, seed: int) -> None:
        self.side, self.seed = side, seed
        self._kept: OrderedDict[tuple[int, int], Cell] = OrderedDict()

    @property
    def across(self) -> int:
        """Cells along each side, the margin included."""
        return self.side + 2 * MARGIN

    @property
    def most_id(self) -> int:
        """No thing has a higher id."""
        return self.across**2 * MOST_THINGS

    def cell(self, i: int, j: int) -> Cell:
        """Give the cell whose south-west corner is at 12 m times (i, j); empty beyond the margin."""
        key = (i, j)
        if key not in self._kept:
            self._kept[key] = self._make(i, j)
            while len(self._kept) > KEPT_CELLS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def around(self, low: np.ndarray, high: np.ndarray) -> list[Cell]:
        """Give all cells that a rectangle of the ground touches."""
        first, last = np.floor(low / CELL_M).astype(int), np.floor(high / CELL_M).astype(int)
        return [self.cell(i, j) for i in range(first[0], last[0] + 1) for j in range(first[1], last[1] + 1)]

    def names(self) -> dict[int, str]:
        """Give the name of every thing by its id."""
        span = range(-MARGIN, self.side + MARGIN)
        return {k: name for i in span for j in span for k, name in self._make(i, j).names.items()}

    def _make(self, i: int, j: int) -> Cell:
        inside = all(-MARGIN <= k < self.side + MARGIN for k in (i, j))
        first = ((i + MARGIN) * self.across + j + MARGIN) * MOST_THINGS + 1
        rng = np.random.default_rng((self.seed, i + 2**20, j + 2**20))
        drawn = _things(rng) if inside else []
        rows, pieces, names = [], [], {}
        for number, (kind, place) in enumerate(drawn[:MOST_THINGS]):
            colour = list(COLOURS)[rng.integers(len(COLOURS))]
            names[first + number] = f"{colour} {kind.name}" if kind.coloured else kind.name
            built = kind.build(COLOURS[colour], rng)
            corner = np.array([i, j]) * CELL_M
            rows.append(_table(built, corner + place.at, place.turn, first + number))
            pieces += [piece.what for piece in built]
        return Cell(joined([_table([], np.zeros(2), 0.0, 0), *rows]), tuple(pieces), names)


def _things(rng: np.random.Generator) -> list[tuple[Kind, _Place]]:
    """Draw what stands in a cell: a house or a few things on its lot, cars, things along the pavement."""
    turn = float(rng.integers(4)) * np.pi / 2
    out: list[tuple[Kind, _Place]] = []
    middle = (CELL_M + PAVEMENT_M) / 2
    if rng.random() < HOUSE_SHARE:
        out.append((HOUSE, _Place((middle + 0.3, middle + 0.3), turn)))
        corners = rng.permutation(4)[: rng.integers(2)]
        small = [k for k in KINDS if k.name in ("bush", "tree")]
        out += [(_pick(small, rng), _Place(LOT_CORNERS[c], 0.0)) for c in corners]
    else:
        corners = rng.permutation(4)[: 2 + rng.integers(2)]
        out += [(_pick(_of("lot"), rng), _Place(LOT_CORNERS[c], turn)) for c in corners]
    for axis in range(2):
        if rng.random() < 0.4:
            at = (ROAD_M / 2 + rng.choice([-0.55, 0.55]), rng.uniform(5.5, 9.5))
            place = _Place(at[::-1] if axis else at, 0.0 if axis else np.pi / 2)
            out.append((_pick(_of("road"), rng), place))
        if rng.random() < 0.55:
            at = ((ROAD_M + PAVEMENT_M) / 2, rng.uniform(4.5, 11.0))
            out.append((_pick(_of("pavement"), rng), _Place(at[::-1] if axis else at, 0.0 if axis else np.pi / 2)))
    return out


def _of(where: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.where == where]


def _pick(kinds: list[Kind], rng: np.random.Generator) -> Kind:
    weight = np.array([kind.weight for kind in kinds])
    return kinds[rng.choice(len(kinds), p=weight / weight.sum())]


def _table(pieces: list[Piece], at: np.ndarray, turn: float, thing: int) -> Shapes:
    """Give the pieces of a thing as a table, where it stands."""
    centre = np.array([p.centre for p in pieces]).reshape(-1, 3)
    c, s = np.cos(turn), np.sin(turn)
    x, y, z = centre.T
    placed = np.stack([c * x - s * y + at[0], s * x + c * y + at[1], z], 1)
    count = len(pieces)
    return Shapes(
        form=np.array([p.form for p in pieces], int),
        centre=placed,
        half=np.array([p.half for p in pieces]).reshape(-1, 3),
        turn=np.tile([c, s], (count, 1)),
        colour=np.array([p.colour for p in pieces]).reshape(-1, 3),
        pattern=np.array([p.pattern for p in pieces], int),
        thing=np.full(count, thing),
    )
