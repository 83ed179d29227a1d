"""A finished run as one object, for a notebook: load, ask, select, render, export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from langfield.capture.images import read_picture
from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.at_time import at_time
from langfield.field.ply import write_ply
from langfield.query.answer import Answer, AskSettings, answer
from langfield.query.calibrate import Calibrator
from langfield.query.event import Event, EventAsker, Seen, views_of, where
from langfield.query.gaussians import Selection, gaussian_relevancy
from langfield.query.heads import ask_head
from langfield.query.image import relevancy_maps
from langfield.query.methods import By, ask_by
from langfield.query.questions import Region, ask_pictures, ask_sights, ask_vectors, find_segment, read_region
from langfield.query.relevancy import CANONICALS, Phrases, encode_phrases
from langfield.query.things import Thing, name_things, select
from langfield.query.vocabulary import COMMON_NAMES, encode_vocabulary
from langfield.raster import RasterOptions, rasterize
from langfield.raster.types import Gaussians
from langfield.run import open_run
from langfield.scene_suite import SceneSuite
from langfield.suite.head import Head, read_head

Text = str | Sequence[str]
Drawn = Literal["rgb", "depth", "alpha", "relevancy"]


class Scene(SceneSuite):
    """A run to ask and draw; encoders are loaded when first needed. Lengths are in the capture's own world units.

    Args:
        run: an opened run.
        text_encoder: another text encoder than the run's, in the same space.
    """

    @property
    def gaussians(self) -> Gaussians:
        """The N Gaussians."""
        return self.run.field.gaussians

    @cached_property
    def calibrator(self) -> Calibrator:
        """What judges whether a thing is here at all, with common names."""
        return Calibrator(self.run.field, encode_vocabulary(self.text_encoder, self.dim))

    @cached_property
    def events(self) -> EventAsker:
        """What answers when something is so.

        Raises:
            QueryError: the run knows no states of things.
        """
        return self.run.event_asker()

    def question(
        self,
        text: Text | None = None,
        *,
        image: Path | str | np.ndarray | None = None,
        region: Region | str | None = None,
        vector: Tensor | None = None,
        head: Head | Path | str | None = None,
        negatives: Sequence[str] = CANONICALS,
        by: By | str | None = None,
    ) -> Phrases:
        """Make a question of exactly one of five kinds, with a row for each text, picture, region, vector or name.

        Args:
            text: one or more phrases.
            image: a picture file, or RGB [h, w, 3] of 8 bits.
            region: a place in a view, such as "view_07.png:120,80": finds what looks like it.
            vector: [Q, D] or [D], in the space of texts.
            head: what was taught, or the file it was written to.
            negatives: phrases that texts and vectors are held against.
            by: a method of the suite that asks texts, such as "laclip" or By("descriptions", "file:TEXTS.json").

        Raises:
            QueryError: none or several kinds were given, or this one cannot be asked.
            SettingsError: there is no such method.
        """
        if sum(kind is not None for kind in (text, image, region, vector, head)) != 1:
            raise QueryError("a question is one of text, image, region, vector and head", remedy="give exactly one")
        if head is not None:
            return ask_head(head if isinstance(head, Head) else read_head(Path(head)), self.dim)
        if image is not None:
            return self._of_picture(image)
        if region is not None:
            return self._of_region(read_region(region) if isinstance(region, str) else region)
        if vector is not None:
            like = encode_phrases(self.text_encoder, negatives, self.dim, negatives)
            rows = vector[None] if vector.ndim == 1 else vector
            return ask_vectors(like, rows, [f"vector {i}" for i in range(len(rows))])
        texts = [text] if isinstance(text, str) else list(text or ())
        if by is not None:
            by = By(by) if isinstance(by, str) else by
            return ask_by(self.run.field, self.text_encoder, texts, by, negatives)
        return encode_phrases(self.text_encoder, texts, self.dim, negatives)

    def _of_picture(self, image: Path | str | np.ndarray) -> Phrases:
        if isinstance(image, np.ndarray):
            return ask_pictures(self.run.field, self.image_encoder, [image], ["picture"])
        return ask_pictures(self.run.field, self.image_encoder, [read_picture(Path(image))], [Path(image).name])

    def _of_region(self, region: Region) -> Phrases:
        frame = next((f for f in self.run.frames if f.name == region.view), None)
        if frame is None:
            raise QueryError("no view has that name", region.view, f"such as {', '.join(list(self.views)[:3])}")
        features = self.run.features(frame)
        if features is None:
            raise QueryError("the run keeps no segments of that view", region.view, "choose a training view")
        segments, vectors = features.load()
        row = find_segment(segments, region)
        return ask_sights(self.run.field, vectors[row : row + 1], [str(region)], {"name": "the view's own segment"})

    def ask(
        self,
        text: Text | None = None,
        *,
        image: Path | str | np.ndarray | None = None,
        region: Region | str | None = None,
        vector: Tensor | None = None,
        head: Head | Path | str | None = None,
        negatives: Sequence[str] = CANONICALS,
        by: By | str | None = None,
        settings: AskSettings | None = None,
    ) -> Answer:
        """Find a thing: verdict, view, mask, place in space, Gaussians. Several texts: any of them will do.

        Args:
            text, image, region, vector, head, negatives, by: see `question`.
            settings: how hard to search.

        Raises:
            QueryError: see `question`.
        """
        asked = self.question(
            text, image=image, region=region, vector=vector, head=head, negatives=negatives, by=by
        )  # fmt: skip
        return self.answer(asked.any_of() if len(asked) > 1 else asked, settings)

    def answer(self, question: Phrases, settings: AskSettings | None = None) -> Answer:
        """Answer the first row of a question made with `question`."""
        return answer(self.run.field, self.views, question, self.calibrator, settings or AskSettings())

    def when(self, sentence: str) -> Event:
        """Tell what a sentence is about, whether that is ever so, and when.

        Args:
            sentence: keywords or a natural sentence, such as "when is the box open".

        Raises:
            QueryError: the run knows no states of things, or the sentence is empty or too long.
        """
        return self.events.ask(sentence)

    def where(self, event: Event) -> Iterator[Seen]:
        """Draw an event's thing in every view taken while it is so, in the order of time."""
        return where(self.run.field, event.thing, views_of(event, self.views))

    def at(self, time_s: float) -> Scene:
        """Give the scene as it is at a time, seconds; one that stands still is given back."""
        field = at_time(self.run.field, time_s)
        return self if field is self.run.field else Scene(replace(self.run, field=field), self._spec)

    def select(self, text: Text) -> Selection:
        """Give the Gaussians of a thing: `rows` [S] into the scene's, `box` [2, 3] and `centroid` in world units."""
        return select(self.run.field, self.question(text).any_of())[0]

    def relevancy(self, text: Text) -> Float[Tensor, "Q L N"]:
        """Give the relevancy of every Gaussian, per text and level, 0 to 1; 0.5 fits as well as general words do."""
        return gaussian_relevancy(self.run.field, self.question(text))

    @torch.no_grad()
    def render(
        self, view: str | Camera, what: Drawn = "rgb", text: Text | None = None
    ) -> Float32[np.ndarray, "H W"] | Float32[np.ndarray, "H W 3"]:
        """Draw a view.

        Args:
            view: name of a view, or any camera.
            what: "rgb" [H, W, 3] from 0 to 1; "depth" [H, W] in world units, 0 where nothing is; "alpha" [H, W],
                coverage from 0 to 1; "relevancy" [H, W] of `text`, at the level where it is highest.
            text: what relevancy is wanted of; several texts: any of them.

        Raises:
            QueryError: there is no such view, or relevancy is wanted of nothing.
        """
        if isinstance(view, str) and view not in self.views:
            raise QueryError("no view has that name", view, f"such as {', '.join(list(self.views)[:3])}")
        camera = self.views[view] if isinstance(view, str) else view
        if what == "relevancy":
            maps = relevancy_maps(self.run.field, camera, self.question(text).any_of())[0]
            return maps[int(maps.flatten(1).amax(dim=1).argmax())].float().cpu().numpy()
        drawn = rasterize(self.gaussians, camera, options=RasterOptions(colour=what == "rgb"))
        if drawn.colour is not None:
            return drawn.colour.float().clamp(0, 1).cpu().numpy()
        depth = torch.where(drawn.alpha > 0, drawn.depth / drawn.alpha.clamp_min(1e-6), 0.0)
        return (drawn.alpha if what == "alpha" else depth).float().cpu().numpy()

    def export(self, path: Path | str, rows: np.ndarray | None = None) -> None:
        """Write Gaussians as a PLY that other viewers open, in the frame of the capture.

        Args:
            path: the file.
            rows: which, such as `select(...).rows`; None for all.
        """
        kept = self.gaussians if rows is None else Gaussians(*(t[rows] for t in self.gaussians.tensors()))
        write_ply(Path(path), kept)

    def names(self, vocabulary: Sequence[str] | Phrases = COMMON_NAMES) -> list[Thing]:
        """List the things of the scene by name, the best fit first, each with its Gaussians and its place.

        Args:
            vocabulary: names to choose from; or a question, such as a head's, with a row for each name.

        Raises:
            QueryError: the field has no instances, or there is no name.
        """
        asked = vocabulary if isinstance(vocabulary, Phrases) else self.question(vocabulary)
        return sorted(name_things(self.run.field, asked), key=lambda thing: -thing.score)


def load(path: Path | str, text_encoder: str | None = None) -> Scene:
    """Open a run for questions.

    Args:
        path: a run's folder, its config.yml, or a folder with runs below it (the newest finished one).
        text_encoder: another text encoder than the run's, in the same space.

    Raises:
        FormatError: there is no finished run, or a file of it is damaged.
    """
    return Scene(open_run(Path(path)), text_encoder)
