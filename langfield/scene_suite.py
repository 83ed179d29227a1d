"""What a scene can do by methods of the suite: learn names, find things again, say what it cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langfield.capture.images import read_picture
from langfield.capture.types import Camera
from langfield.errors import QueryError, SettingsError
from langfield.field.types import Field
from langfield.query.gather_blind import blind_pairs, colours_of, gather_blind, looks_of, shapes_of
from langfield.query.gather_clicks import (
    SPREAD,
    Click,
    clicked_gaussians,
    gather_clicks,
    names_of,
    read_examples,
    unlabelled,
    with_others,
)
from langfield.query.gather_pairs import PairSettings, Shot, label_things, pairs_from_scene
from langfield.query.image import language_of
from langfield.query.linking import (
    PLAIN,
    Finding,
    best_of,
    finding,
    links,
    picture_items,
    renamed,
    text_items,
    thing_items,
    view_items,
)
from langfield.query.methods import teach
from langfield.query.relevancy import CANONICALS, Phrases, encode_phrases, encode_unit
from langfield.query.things import things_of
from langfield.query.vocabulary import COMMON_NAMES
from langfield.run import Run
from langfield.suite import image_encoder
from langfield.suite.choose import choose
from langfield.suite.class_names import read_forms, read_labels
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.diagnose.babel_imagenet import languages
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import Items
from langfield.suite.spec import model_of
from langfield.suite.types import ImageEncoder, TextEncoder

MEASURES: dict[str, Callable[[Field], Tensor]] = {"colour": colours_of, "shape": shapes_of}
"""What tells things apart without another encoder."""
MOST_PAIRS = 100_000


class SceneSuite:
    """The part of `langfield.scene.Scene` that wraps the suite.

    Args:
        run: an opened run.
        text_encoder: another text encoder than the run's, in the same space.
    """

    def __init__(self, run: Run, text_encoder: str | None = None) -> None:
        self.run, self._spec = run, text_encoder

    @property
    def views(self) -> dict[str, Camera]:
        """Camera of every view by its name."""
        return self.run.views

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The encoder of texts."""
        return self.run.text_encoder(self._spec)

    @cached_property
    def image_encoder(self) -> ImageEncoder:
        """The encoder of pictures, the one the run was made with."""
        return self.run.image_encoder()

    @property
    def dim(self) -> int:
        """Width of the vectors the field holds."""
        return language_of(self.run.field)[1].dim

    @cached_property
    def said(self) -> dict[int, str]:
        """What captions call things, by their numbers; nothing in a run without captions."""
        captions = self.run.captions()
        return {o.instance - 1: o.name for o in captions.objects if o.name} if captions is not None else {}

    def _things(self, called: Phrases, names: Sequence[str] | None = None) -> Items:
        """Give all things; where nobody gave names, those that captions speak of are called as they call them."""
        items = thing_items(self.run.field, called)
        return items if names else replace(items, texts=renamed(items.texts, self.said))

    def _called(self, names: Sequence[str] | None) -> Phrases:
        return encode_phrases(self.text_encoder, names or COMMON_NAMES, self.dim)

    @cached_property
    def model(self) -> ClipModel:
        """The model whose space the field is in: with its towers where they are one model, else its words alone."""
        return model_of(self.text_encoder, self._spec or self.run.manifest["settings"]["text_encoder"])

    def teach(
        self,
        clicks: Mapping[str, Sequence[int | str]] | Sequence[Click],
        method: str = "gda",
        *,
        none: Sequence[int | str] = (),
        also: Sequence[str] = (),
        negatives: Sequence[str] = CANONICALS,
    ) -> Head:
        """Teach names by examples; the head is asked by `ask(head=...)` and kept by `langfield.suite.head.write_head`.

        Args:
            clicks: examples of each name, things by their number or points "VIEW:x,y"; or clicks as they were read.
                Where they are all of one name, other things of the scene are taken for what it is not.
            method: of the family teach, with settings where wanted: "gda", "coop:steps=20".
            none: examples of none of the names.
            also: further names, told from the others by their texts alone.
            negatives: phrases that all names are held against.

        Raises:
            QueryError: a click means nothing.
            SettingsError: no such method, or it cannot work with this run's encoder.
        """
        clicks = read_examples(clicks, none)
        names = encode_phrases(self.text_encoder, (*names_of(clicks), *also), self.dim, negatives)
        task, chosen = gather_clicks(self.run.field, self.views, clicks, names, SPREAD), choose("teach", method)
        added: tuple[tuple[str, str], ...] = ()
        if getattr(chosen.module, "UNLABELLED", False):
            task = unlabelled(self.run.field, task)
        else:
            task, added = with_others(self.run.field, clicked_gaussians(self.run.field, self.views, clicks), task)
        head = teach(task, method, self.model if chosen.needs("model") else None)
        return replace(head, about=(*head.about, *added))

    @property
    def shots(self) -> list[Shot | None]:
        """Picture, segments and vectors of every training view, in the order of training; None where they are gone."""
        frames = {frame.name: frame for frame in self.run.frames}
        training = [frames[name] for name in self.run.manifest["training_views"] if name in frames]
        found = [(frame, self.run.features(frame)) for frame in training]
        return [None if features is None else Shot(frame.path, features.load) for frame, features in found]

    def pairs(
        self,
        names: Sequence[str] | Phrases | Mapping[int, Sequence[Caption]] | None = None,
        settings: PairSettings | None = None,
    ) -> Pairs:
        """Give pictures of the scene's things with what is said of them: what training methods learn from.

        Args:
            names: names to choose from, common ones by default; a question such as a head's; or captions by the
                numbers of things.
            settings: which pictures.

        Raises:
            QueryError: the field has no things, or no view shows one that is spoken of.
        """
        if not isinstance(names, Mapping):
            names = label_things(self.run.field, names if isinstance(names, Phrases) else self._called(names))
        return pairs_from_scene(self.run.field, self.shots, names, settings or PairSettings())

    def find(
        self,
        text: str | None = None,
        *,
        picture: Path | str | np.ndarray | None = None,
        method: str = PLAIN,
        names: Sequence[str] | None = None,
        most: int = 5,
    ) -> list[dict[str, Any]]:
        """Rank the things that several views saw by a picture or a text of any length, in a space that a method makes.

        Args:
            text: what is looked for.
            picture: a picture of it, file or RGB.
            method: plain, or one of the family find.
            names: names that things are called by; those of captions and common ones by default.
            most: things at most.

        Returns:
            Rows with thing, name and cosine, the best first.

        Raises:
            QueryError: neither or both were given, or the field has no things.
            SettingsError: no such method, it cannot learn from this run, or it does not read texts.
        """
        if (text is None) == (picture is None):
            raise QueryError("things are found by a text or by a picture", remedy="give one of them")
        called = self._called(names)
        gallery, found = self._things(called, names), self._finding(method, called)
        if text is not None:
            if not found.in_words and found.transform is not None:
                raise SettingsError(
                    f"{method} finds pictures by pictures, not by texts", remedy="use plain or lexiclip"
                )
            asked = text_items([text], self.text_encoder, self.dim)
        else:
            image = picture if isinstance(picture, np.ndarray) else read_picture(Path(str(picture)))
            asked = picture_items(self.image_encoder.encode_images([image]).float().cpu(), called)
        ranked = best_of(found.scores(asked, gallery)[0], things_of(self.run.field).often, most)
        called_by = gallery.texts or ()
        return [{"thing": i, "name": called_by[i], "cosine": round(cosine, 4)} for i, cosine in ranked]

    def link(self, other: SceneSuite, method: str = PLAIN, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Tell which thing of another scene each thing of this one is, in a space that a method makes of this one.

        Args:
            other: a scene in the same encoder's space.
            method: plain, or one of the family find.
            names: names that things are called by; those of captions and common ones by default.

        Returns:
            Rows with thing, other, name, other_name, cosine and mutual, mutual links first.

        Raises:
            QueryError: a field has no things, or the spaces differ in width.
            SettingsError: no such method, or it cannot learn from this run.
        """
        called = self._called(names)
        one, two = (scene._things(called, names) for scene in (self, other))
        if one.vectors.shape[1] != two.vectors.shape[1]:
            raise QueryError("the runs hold vectors of different widths", other.run.path, "link runs of one encoder")
        return links(self._finding(method, called).scores(one, two), one, two)

    def _finding(self, method: str, called: Phrases) -> Finding:
        if method == PLAIN:
            return finding(method, Items(called.positives))
        chosen = choose("find", method)
        learns = hasattr(chosen.module, "begin") and "labels" in chosen.module.NEEDS
        items = view_items(self.pairs(called), self.text_encoder) if learns else thing_items(self.run.field, called)
        return finding(method, items, self.model if chosen.needs("model") else None)

    def blind(
        self, by: str = "colour", method: str = "mmvp", names: Sequence[str] | None = None, most: int = 20
    ) -> list[dict[str, Any]]:
        """Give pairs of things that the encoder takes for one and something else tells apart, the worst first.

        Args:
            by: what tells them apart: colour, shape, or another image encoder by its spec.
            method: of the family diagnose that compares things, with settings where wanted: "mmvp:same=0.9,apart=0.7".
            names: names that things are called by; those of captions and common ones by default.
            most: pairs at most.

        Returns:
            Rows with a and b, the numbers of things, same and apart, cosines of either, and texts, their names.

        Raises:
            QueryError: the field has no things, or another encoder is wanted and the run keeps no segments.
            SettingsError: there is no such method or encoder.
        """
        field, chosen = self.run.field, choose("diagnose", method)
        if by in MEASURES:
            other = MEASURES[by](field)
        else:
            every = {thing: (Caption("thing"),) for thing in range(len(things_of(field)))}
            other = looks_of(self.pairs(every, PairSettings(views=2)), image_encoder(by), len(things_of(field)))
        items = replace(gather_blind(field, other), texts=self._things(self._called(names), names).texts)
        if not hasattr(chosen.settings, "most"):
            raise SettingsError(f"{chosen.name} compares languages, not things", remedy="langfield suite languages")
        settings = replace(chosen.settings, most=MOST_PAIRS)
        return blind_pairs(field, items, lambda these: chosen.module.diagnose(these, settings), most)

    def languages(
        self,
        labels: Path,
        clicks: Mapping[str, Sequence[int | str]] | Sequence[Click],
        method: str = "babel-imagenet",
        *,
        forms: Path | None = None,
        only: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Tell in which languages things of the scene are told apart by their names, the worst first.

        Args:
            labels: names of classes by language, as Babel-ImageNet has them: {"en": [[0, 1], ["mug", "globe"]], ...}.
            clicks: which thing is which, by its name in the reference language.
            method: with settings where wanted: "babel-imagenet:reference=de".
            forms: forms of words by language, {"en": ["a photo of {}"], ...}.
            only: codes of the languages wanted; all by default.

        Returns:
            Rows with language, classes, things, accuracy, chance, and reference and gap where they can be compared.

        Raises:
            QueryError: a click means nothing, or its name is none of the reference language's.
            FormatError: a file is damaged.
        """
        chosen, table = choose("diagnose", method), read_labels(labels)
        reference = getattr(chosen.settings, "reference", "")
        if reference not in table:
            raise SettingsError(f"the file names nothing in {reference!r}", labels, f"it has {', '.join(table)}")
        classes, names = table[reference]
        task = gather_clicks(self.run.field, self.views, read_examples(clicks), self._called(names))
        encode = partial(encode_unit, self.text_encoder, dim=self.dim)
        said = languages(table, encode, read_forms(forms) if forms else None, list(only) or None)
        items = Items(task.vectors, labels=torch.tensor(classes)[task.labels], languages=said)
        return chosen.module.diagnose(items, chosen.settings)
