"""Questions to a sharded field: things from one table, Gaussians shard by shard, pictures from what a view needs.

A text is held against the things, which needs no Gaussians. Only the picture of the answer takes some: those that the
chosen views see, far ones as stand-ins, in a field of their own that every other function of this room understands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.codec import Codebook
from langfield.errors import QueryError
from langfield.field.instances import Instances
from langfield.field.lod_choice import boxes_of, choose_levels, distances, eye_of, in_sight
from langfield.field.shards import Shards
from langfield.field.types import Field
from langfield.query.answer import Answer, AskSettings, answer
from langfield.query.calibrate import MIN_OPACITY, MOST_PLACES, Calibrator
from langfield.query.gaussians import Selection, gaussian_relevancy, make_selection
from langfield.query.relevancy import TEMPERATURE, Phrases
from langfield.query.things import thing_scores
from langfield.query.views import MOST_POINTS, named, reach
from langfield.query.vocabulary import Vocabulary
from langfield.raster import word_relevancy, word_scores
from langfield.raster.types import Gaussians

SAMPLES = 4 * MOST_PLACES
"""Gaussians looked at in search of places that stand for the scene."""
VIEWS_AT_ONCE = 4096
MOST_WHOLE = 8


@dataclass(frozen=True)
class ShardAskSettings:
    """How much is drawn for an answer."""

    budget: int = 300_000
    """Gaussians of a view, about."""
    whole: int = 1_000_000
    """Gaussians of shards with parts of the thing that are drawn as they are, about; stand-ins are no part of it."""
    views: int = 3
    """Views tried, of all those in which the thing would be largest."""
    ask: AskSettings = field(default_factory=lambda: AskSettings(max_views=3))


@dataclass(frozen=True)
class Local:
    """The part of a sharded field that some views see."""

    field: Field
    """Without things."""
    first: Mapping[int, int]
    """Row of the field at which each shard begins that is there as it is."""
    levels: Mapping[int, int]
    """Level of every shard that is there, in the order in which they lie."""


class ShardAsker:
    """Asks one sharded field; what costs once is made once.

    Args:
        shards: opened.
        views: camera per view name.
    """

    def __init__(self, shards: Shards, views: Mapping[str, Camera]) -> None:
        self._shards, self._views = shards, views
        self._nearest: tuple[Tensor, dict[int, Tensor]] | None = None
        self._words: dict[int, tuple[Tensor, Tensor]] = {}

    @cached_property
    def _table(self) -> Field:
        """The things alone, their vectors in single precision once and for all."""
        empty, things = self._shards.gaussians(np.zeros(0, np.int64)), self._shards.things
        things = things and replace(things, vectors=things.vectors.float())
        return Field(empty, None, self._shards.codec, self._shards.index.provenance, instances=things)

    @cached_property
    def _steps(self) -> Float[Tensor, "A+1 D"]:
        """What one step of each atom adds, and the mean, which every code has once."""
        codec = self._shards.codec
        if not isinstance(codec, Codebook):
            raise QueryError("only a codebook's codes are words", self._shards.folder)
        step = torch.full((len(codec.basis), 1), codec.unit)
        step[-1] = 1
        return codec.basis * step

    def things(self, phrases: Phrases) -> Float[Tensor, "Q I"]:
        """Give the relevancy of every thing to every row of a question; no Gaussian is touched.

        Raises:
            QueryError: the field has no things.
        """
        return thing_scores(self._table, phrases)

    def relevancy(self, phrases: Phrases) -> Iterator[Float[Tensor, "Q L n"]]:
        """Give the relevancy of all Gaussians, shard by shard; 0.5 where no view has shown one.

        Raises:
            QueryError: the field has no language part.
        """
        for number in range(len(self._shards)):
            yield self.shard_relevancy(number, phrases)

    @torch.no_grad()
    def shard_relevancy(self, number: int, phrases: Phrases, level: int = 0) -> Float[Tensor, "Q L n"]:
        """Give the relevancy of the Gaussians of one shard at one level of detail.

        Raises:
            QueryError: the field has no language part.
        """
        codec = self._shards.codec
        codes, scale = self._codes(number, level)
        if codec is None or codes is None:
            raise QueryError("this field has no language part", self._shards.folder, "finish its language stage first")
        if not isinstance(codec, Codebook) or scale is None:
            return gaussian_relevancy(self._shards.field(number, level), phrases)
        flat, scales = codes.flatten(0, 1), scale.flatten()
        nearest = self._against(number, level, phrases, (flat, scales))
        found = word_relevancy(flat, scales, self._steps @ phrases.positives.T, nearest, TEMPERATURE)
        return phrases.join(found.unflatten(1, codes.shape[:2]))

    def _codes(self, number: int, level: int) -> tuple[Tensor | None, Tensor | None]:
        if level > 0:
            return self._shards.codes(number, level)
        if number not in self._words:
            codes, scale = self._shards.codes(number)
            if codes is None or scale is None:
                return codes, scale
            self._words[number] = codes, scale
        return self._words[number]

    def _against(self, number: int, level: int, phrases: Phrases, codes: tuple[Tensor, Tensor]) -> Float[Tensor, " B"]:
        """Give the largest product with a canonical phrase; kept for the Gaussians themselves."""
        if self._nearest is None or not torch.equal(self._nearest[0], phrases.canonicals):
            self._nearest = phrases.canonicals, {}
        kept = self._nearest[1]
        if level > 0 or number not in kept:
            table = self._steps @ phrases.canonicals.T
            found = torch.full_like(codes[1], -2.0)
            for column in table.T:  # one number a Gaussian at a time, not all of them
                torch.maximum(found, word_scores(*codes, column[:, None].contiguous())[:, 0], out=found)
            if level > 0:
                return found
            kept[number] = found
        return kept[number]

    def calibrator(self, vocabulary: Vocabulary) -> Calibrator:
        """Make what judges whether something is there, from Gaussians spread evenly along the shards' curves."""
        return Calibrator(self.sample(), vocabulary)

    def sample(self) -> Field:
        """Give a field of solid Gaussians that stand for all."""
        count = self._shards.count
        rows = np.unique(np.linspace(0, count - 1, min(SAMPLES, count)).round().astype(np.int64))
        solid = torch.sigmoid(self._shards.rows(rows, ["logit_opacities"])["logit_opacities"].float()) >= MIN_OPACITY
        rows = rows[solid.numpy()]
        return self._field_of(rows)

    def _field_of(self, rows: Int64[np.ndarray, " S"]) -> Field:
        shards = self._shards
        codes = shards.rows(rows, ["codes"]).get("codes") if len(rows) else None
        return Field(shards.gaussians(rows), codes, shards.codec, shards.index.provenance)

    def select(self, thing: int) -> Selection:
        """Give the Gaussians of a thing; only the shards that hold them are touched."""
        if self._shards.things is None:
            raise QueryError("this field has no things", self._shards.folder, "train it with language mode lift")
        rows = self._shards.things.gaussians(thing).long().numpy()
        found = make_selection(self._shards.gaussians(rows), np.arange(len(rows)))
        return replace(found, rows=rows)

    def whole(self, shards: Iterable[int], cameras: Sequence[Camera], most: int) -> list[int]:
        """Give those of some shards that may be there as they are: one at least, in sight before others, near to far.

        Args:
            shards: their numbers.
            cameras: of the views.
            most: Gaussians in them.
        """
        boxes, eyes = boxes_of(self._shards.index), [eye_of(camera) for camera in cameras]
        seen = np.any([in_sight(boxes, eye) for eye in eyes], axis=0)
        away = np.min([distances(boxes, eye.position) for eye in eyes], axis=0)
        order = sorted(shards, key=lambda i: (not seen[i], away[i], i))
        total = np.cumsum([self._shards.index.shards[i].count for i in order])
        return order[: max(1, int((total <= most).sum()))]

    def local(self, cameras: Sequence[Camera], budget: int, whole: Sequence[int] = ()) -> Local:
        """Give the field that some views need.

        Args:
            cameras: of the views.
            budget: Gaussians, about.
            whole: shards that are wanted as they are.
        """
        levels = choose_levels(self._shards.index, [eye_of(c) for c in cameras], budget, frozenset(whole))
        order = sorted(levels)
        parts = [self._shards.field(i, levels[i]) for i in order]
        if not parts:
            return Local(self._field_of(np.zeros(0, np.int64)), {}, {})
        starts = np.cumsum([0, *(len(p.gaussians) for p in parts)]).tolist()
        columns = zip(*(p.gaussians.tensors() for p in parts), strict=True)
        codes = [p.codes for p in parts if p.codes is not None]
        joined = torch.cat(codes, dim=1) if len(codes) == len(parts) else None
        gaussians = Gaussians(*(torch.cat(column) for column in columns))
        made = Field(gaussians, joined, self._shards.codec, self._shards.index.provenance)
        first = {i: starts[k] for k, i in enumerate(order) if levels[i] == 0}
        return Local(made, first, {i: levels[i] for i in order})

    def answer(
        self, phrases: Phrases, calibrator: Calibrator, settings: ShardAskSettings = ShardAskSettings()
    ) -> Answer:
        """Answer the first row of a question, as `langfield.query.answer.answer` does of a field in memory.

        Raises:
            QueryError: there is no view, or the field has no language part.
        """
        phrases = phrases.row(0)
        if self._shards.things is None or not len(self._shards.things):
            return self._by_map(phrases, calibrator, settings)
        fits = self.things(phrases)[0]
        best = int(fits.argmax())
        selection = self.select(best)
        names = self.promising(selection.rows, settings.views)
        split = self._shards.split(selection.rows)
        cameras = [self._views[n] for n in names]
        local = self.local(cameras, settings.budget, self.whole(split, cameras, settings.whole))
        own = {shard: rows.numpy() for shard, (_, rows) in split.items() if shard in local.first}
        rows = np.sort(np.concatenate([rows + local.first[shard] for shard, rows in own.items()]))
        with_thing = replace(local.field, instances=self._alone(best, rows))
        found = answer(with_thing, {n: self._views[n] for n in names}, phrases, calibrator, settings.ask)
        return replace(found, selection=selection, score=float(fits[best]), instance=best)

    def _alone(self, thing: int, rows: Int64[np.ndarray, " S"]) -> Instances:
        """Give one thing with its rows in a local field."""
        own, numbers = self._shards.things, torch.from_numpy(rows).int()
        if own is None:
            raise QueryError("this field has no things")
        one = slice(thing, thing + 1)
        members = torch.zeros(1, 3, dtype=torch.int32)
        first = torch.tensor([0, len(rows)])
        return Instances(own.vectors[one], own.views[one], own.reliability[one], first, numbers, members)

    def promising(self, rows: Int64[np.ndarray, " S"], most: int) -> list[str]:
        """Give the views in which a selection would be largest were nothing before it."""
        names = named(self._views)
        rows = rows[:: max(1, len(rows) // MOST_POINTS)]
        points = self._shards.gaussians(rows).means.detach()
        cameras = list(self._views.values())
        parts = [reach(points, cameras[i : i + VIEWS_AT_ONCE]) for i in range(0, len(cameras), VIEWS_AT_ONCE)]
        order = np.argsort(-np.concatenate(parts), kind="stable")[:most]
        return [names[i] for i in order]

    def _by_map(self, phrases: Phrases, calibrator: Calibrator, settings: ShardAskSettings) -> Answer:
        """Answer from the shard with the most relevant Gaussians, in views of it; rows count through all shards."""
        tops = [float(found[0].amax()) for found in self.relevancy(phrases)]
        home = int(np.argmax(tops))
        scores = self.shard_relevancy(home, phrases)[0].amax(dim=0)
        rows = (torch.argsort(-scores, stable=True)[:MOST_POINTS] + self._shards.index.first[home]).numpy()
        names = self.promising(np.sort(rows), settings.views)
        local = self.local([self._views[n] for n in names], settings.budget, self._around(rows))
        found = answer(local.field, {n: self._views[n] for n in names}, phrases, calibrator, settings.ask)
        inside = self._globally(found.selection.rows, local)
        return replace(found, selection=replace(found.selection, rows=inside))

    def _around(self, rows: Int64[np.ndarray, " S"]) -> list[int]:
        """Give the shards that reach to where some Gaussians are, at most eight."""
        means = self._shards.gaussians(rows).means.double().numpy()
        boxes = boxes_of(self._shards.index)
        touch = ((boxes[:, 0] <= means.max(axis=0)) & (boxes[:, 1] >= means.min(axis=0))).all(axis=1)
        return np.flatnonzero(touch)[:MOST_WHOLE].tolist()

    def _globally(self, rows: Int64[np.ndarray, " S"], local: Local) -> Int64[np.ndarray, " s"]:
        """Give rows of a local field as rows of the whole; stand-ins have none and are left out."""
        index, out = self._shards.index, [np.zeros(0, np.int64)]
        for shard, start in local.first.items():
            own = rows[(rows >= start) & (rows < start + index.shards[shard].count)]
            out.append(own - start + index.first[shard])
        return np.sort(np.concatenate(out))
