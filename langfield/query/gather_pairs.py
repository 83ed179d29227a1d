"""A scene as a corpus: the pictures that views have of its things, with what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.images import read_picture
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gather_clicks import evenly
from langfield.query.relevancy import NEUTRAL, Phrases
from langfield.query.things import thing_scores, things_of, which_names
from langfield.segment.types import Segments
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.crops import context_crop, masked_crop

PICTURES_KEPT = 16
GROW = 1.3


@dataclass(frozen=True)
class Shot:
    """What one view has of things: its picture, its segments and their unit vectors, read when they are wanted."""

    picture: Path
    features: Callable[[], tuple[Segments, Float[Tensor, "M D"]]]


@dataclass(frozen=True)
class PairSettings:
    """Which pictures of a thing there are."""

    views: int = 8
    """Pictures of each thing at most, evenly over the views that show it."""
    context: bool = False
    """Whether what surrounds a thing stays in its picture; else it is black, as the field's own crops are."""


def pairs_from_scene(
    scene: Field,
    shots: Sequence[Shot | None],
    captions: Mapping[int, Sequence[Caption]],
    settings: PairSettings = PairSettings(),
) -> Pairs:
    """Give the pictures of things that are spoken of, with their vectors, captions and numbers; thing by thing.

    Args:
        scene: the field, with things.
        shots: of each training view in the order of training; None where a view's features are gone.
        captions: what is said of things, by their number.
        settings: which pictures.

    Raises:
        QueryError: the field has no things, or no view shows any that is spoken of.
        FormatError: features are damaged or are not those that the field was made of.
    """
    things, rows = things_of(scene), list[tuple[int, int, int]]()
    unknown = [thing for thing in captions if not 0 <= thing < len(things)]
    if unknown:
        raise QueryError(f"there is no thing {unknown[0]}", f"this scene has {len(things)}, numbered from 0")
    members = things.members[torch.tensor([view < len(shots) and shots[view] is not None for view in
                                           things.members[:, 1].tolist()], dtype=torch.bool)]  # fmt: skip
    for thing in sorted(captions):
        own = torch.nonzero(members[:, 0] == thing)[:, 0]
        rows += [(thing, view, segment) for _, view, segment in members[evenly(own, settings.views)].tolist()]
    if not rows:
        raise QueryError("no view shows a thing that is spoken of", remedy="name things of this scene")
    crops = Crops(shots, [(view, segment) for _, view, segment in rows], settings.context)
    return Pairs(
        tuple(tuple(captions[thing]) for thing, _, _ in rows), crops, crops.vectors(),
        torch.tensor([thing for thing, _, _ in rows]),
    )  # fmt: skip


@dataclass(frozen=True)
class Crops(Sequence[UInt8[np.ndarray, "S S 3"]]):
    """Segments of views, cut out when they are wanted."""

    shots: Sequence[Shot | None]
    places: Sequence[tuple[int, int]]
    """View and segment of each."""
    context: bool = False
    _read: dict[int, tuple[np.ndarray, Segments, Tensor]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "S S 3"]:  # pyright: ignore
        view, segment = self.places[row]
        picture, segments, _ = self._view(view)
        box = segments.boxes[segment]
        if self.context:
            return context_crop(picture, box, GROW)
        return masked_crop(picture, segments.ids[segments.levels[segment]] == segment, box)

    def vectors(self) -> Float[Tensor, "M D"]:
        """Give the unit vector that each segment has in its view's table."""
        found: list[Tensor] = [torch.zeros(0)] * len(self)
        for view in sorted({view for view, _ in self.places}):
            shot = self.shots[view]
            segments, table = shot.features() if shot is not None else (None, None)
            for row, (other, segment) in enumerate(self.places):
                if other == view:
                    if segments is None or table is None or segment >= len(segments.levels):
                        raise QueryError("a view lacks a segment the field was made of", f"view {view}", "train again")
                    found[row] = table[segment]
        return normalize(torch.stack(found).float(), dim=1)

    def _view(self, view: int) -> tuple[np.ndarray, Segments, Tensor]:
        shot = self.shots[view]
        if view not in self._read and shot is not None:
            if len(self._read) >= PICTURES_KEPT:
                self._read.pop(next(iter(self._read)))
            self._read[view] = (read_picture(shot.picture), *shot.features())
        return self._read[view]


def label_things(scene: Field, names: Phrases, least: float = NEUTRAL) -> dict[int, tuple[Caption, ...]]:
    """Give each thing the name that fits it best, where that fits better than `least`.

    Args:
        scene: the field, with things.
        names: a question with a row for each name; of texts, or of a head that was taught.
        least: relevancy, 0 to 1.

    Returns:
        A short caption by thing, said to be by whatever encoded or taught the names.

    Raises:
        QueryError: the field has no things.
    """
    scores, source = thing_scores(scene, names), str(names.encoder.get("name", "names"))
    rows = which_names(scene, scores).tolist()
    return {
        i: (Caption(names.texts[row], source=source),) for i, row in enumerate(rows) if float(scores[row, i]) > least
    }


def chosen(pairs: Pairs, rows: Int64[Tensor, " R"]) -> Pairs:
    """Give some rows of a corpus, in that order."""
    kept: list[int] = rows.tolist()
    pictures = pairs.pictures
    some = _Some(pictures, kept) if pictures is not None else None
    vectors, instances = (None if part is None else part[rows] for part in (pairs.vectors, pairs.instances))
    return Pairs(tuple(pairs.captions[i] for i in kept), some, vectors, instances)


@dataclass(frozen=True)
class _Some(Sequence[UInt8[np.ndarray, "h w 3"]]):
    whole: Sequence[UInt8[np.ndarray, "h w 3"]]
    rows: list[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> UInt8[np.ndarray, "h w 3"]:  # pyright: ignore
        return self.whole[self.rows[row]]
