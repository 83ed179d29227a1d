"""The suite's methods as the page uses them: on the run's things, with the page's encoders, from its clicks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.query.gather_clicks import evenly, thing_vectors, unlabelled, with_others
from langfield.query.image import language_of, vectors_of
from langfield.query.linking import PLAIN, best_of, picture_items
from langfield.query.methods import teach
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.query.things import things_of
from langfield.query.vocabulary import COMMON_NAMES
from langfield.run import Run
from langfield.scene_suite import SceneSuite
from langfield.suite.choose import choose
from langfield.suite.head import Head
from langfield.suite.slots import NONE_OF_THESE, FewShotTask
from langfield.suite.types import ImageEncoder, TextEncoder
from langfield.viewer.asking import Encoders
from langfield.viewer.lesson import Lesson
from langfield.viewer.rows import Rows, frozen

PART = 0.5
"""Things that share more of the smaller's Gaussians than this are parts of one another."""
MOST_OF_ONE = 64
"""Gaussians of a selection whose vectors are averaged, evenly spread over it."""


class Methods(SceneSuite):
    """A run's things for methods of the suite; what is costly is made when first needed.

    Args:
        run: what is on the page.
        encoders: the page's.
    """

    def __init__(self, run: Run, encoders: Encoders) -> None:
        super().__init__(run)
        self._encoders = encoders

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The page's encoder of texts."""
        return self._encoders.text()

    @cached_property
    def image_encoder(self) -> ImageEncoder:
        """The page's encoder of pictures."""
        return self._encoders.image()

    @cached_property
    def common(self) -> Phrases:
        """Common names, encoded once."""
        return encode_phrases(self.text_encoder, COMMON_NAMES, self.dim)

    def _called(self, names: Sequence[str] | None) -> Phrases:
        return super()._called(names) if names else self.common

    @cached_property
    def called(self) -> tuple[str, ...]:
        """What each thing is called: as captions call it, else the common name that fits it best.

        Raises:
            QueryError: the field has no things.
        """
        return self._things(self.common).texts or ()

    def rows_of(self, thing: int) -> Rows:
        """Give the Gaussians of a thing."""
        return frozen(things_of(self.run.field).gaussians(thing).long().numpy())

    def thing_of(self, rows: Rows) -> int | None:
        """Give the thing that some Gaussians are exactly, None where they are no thing."""
        things = self.run.field.instances
        if things is None or not len(rows):
            return None
        alike = torch.nonzero(things.sizes == len(rows))[:, 0].tolist()
        return next((i for i in alike if np.array_equal(self.rows_of(i), rows)), None)

    @torch.no_grad()
    def vector_of(self, rows: Rows) -> Float[Tensor, "1 D"]:
        """Give the unit vector of a thing; of other Gaussians their mean at the level where they agree best.

        Raises:
            QueryError: no view has shown them, or the field has no language part.
        """
        thing = self.thing_of(rows)
        if thing is not None:
            return thing_vectors(self.run.field, thing)
        codes, codec = language_of(self.run.field)
        chosen = evenly(torch.from_numpy(rows.copy()), MOST_OF_ONE)
        means = [vectors_of(level[chosen.to(level.device)], codec).mean(dim=0) for level in codes]
        best = max(means, key=lambda mean: float(mean.norm()))
        if not bool(best.any()):
            raise QueryError("no view has shown what was clicked", remedy="click another place of it")
        return normalize(best[None], dim=1)

    def middle_of(self, thing: int) -> tuple[float, float, float]:
        """Give the median place of a thing, world units, at the first time."""
        rows = torch.from_numpy(self.rows_of(thing).copy())
        x, y, z = self.run.field.gaussians.means.detach().cpu()[rows].double().median(dim=0).values.tolist()
        return x, y, z

    def find_like(self, rows: Rows, method: str = PLAIN, most: int = 8) -> list[dict[str, Any]]:
        """Rank the other things that several views saw by Gaussians that somebody pointed at; its parts are left out.

        Returns:
            Rows with thing, name and cosine, the best first.

        Raises:
            QueryError: no view has shown them, or the field has no things.
            SettingsError: there is no such method, or it cannot learn from this run.
        """
        asked, gallery = picture_items(self.vector_of(rows), self.common), self._things(self.common)
        names, things = gallery.texts or (), things_of(self.run.field)
        scores = self._finding(method, self.common).scores(asked, gallery)[0]
        return [
            {"thing": i, "name": names[i], "cosine": round(cosine, 4)}
            for i, cosine in best_of(scores, things.often & (self._within(rows) <= PART), most)
        ]

    def _within(self, rows: Rows) -> Float[Tensor, " I"]:
        """Give which share of each thing's Gaussians, or of these where they are fewer, are among these."""
        things, inside = things_of(self.run.field), torch.zeros(len(self.run.field.gaussians))
        inside[torch.from_numpy(rows.copy())] = 1
        shared = torch.zeros(len(things)).index_add_(0, things.owner, inside[things.rows.long()])
        return shared / things.sizes.clamp(max=max(1, len(rows)))

    def learn(self, lesson: Lesson, method: str, negatives: Sequence[str]) -> Head:
        """Learn a head from what was clicked.

        Args:
            lesson: at least one example of a name; where all are of one name, other things are taken for what it is
                not.
            method: of the family teach, with settings where wanted.
            negatives: phrases that all names are held against.

        Raises:
            QueryError: nothing of a name was clicked.
            SettingsError: there is no such method, or it cannot work with this run's encoder.
        """
        if not lesson.names:
            raise QueryError("nothing was shown", remedy="click a thing, give its name and press This is it")
        names, chosen = encode_phrases(self.text_encoder, lesson.names, self.dim, negatives), choose("teach", method)
        vectors = torch.cat([self.vector_of(example.rows) for example in lesson.examples])
        owner: dict[str | None, int] = {name: i for i, name in enumerate(lesson.names)}
        labels = torch.tensor([owner.get(example.name, NONE_OF_THESE) for example in lesson.examples])
        task, field = FewShotTask(vectors, labels, names.texts, names.positives, names.canonicals), self.run.field
        added: tuple[tuple[str, str], ...] = ()
        if getattr(chosen.module, "UNLABELLED", False):
            task = unlabelled(field, task)
        else:
            clicked = torch.zeros(len(field.gaussians), dtype=torch.bool)
            clicked[torch.from_numpy(np.concatenate([example.rows for example in lesson.examples]))] = True
            task, added = with_others(field, clicked, task)
        head = teach(task, method, self.model if chosen.needs("model") else None)
        return replace(head, about=(*head.about, *added))
