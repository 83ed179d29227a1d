"""What the Gaussians' colours mean: their own, relevancy, language, depth, things; the selection over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langfield.errors import LangfieldError
from langfield.field.types import Field
from langfield.query.similarity import Similarity
from langfield.raster.types import Gaussians
from langfield.viewer import colours
from langfield.viewer.session import Document, Query

Colours = UInt8[np.ndarray, "N 3"]
LEAST_TOP = 0.6
"""The bright end of the colours is never below this, so that an answer near 0.5 looks as dull as it is."""
SELECTED = np.array([255, 105, 180], dtype=np.float32)
"""Pink is in none of the maps."""
SELECTED_SHARE = 0.8


def top_of(query: Query) -> float:
    """Give the relevancy at the bright end of the colours."""
    return max(LEAST_TOP, query.thing.score)


class Painter:
    """Colours of a field's Gaussians; what does not depend on questions is made once."""

    def __init__(self, field: Field, rgb: Colours) -> None:
        self._field, self._rgb, self._means = field, rgb, field.gaussians.means
        self._made: dict[str, Colours] = {}

    def become(self, gaussians: Gaussians, rgb: Colours) -> None:
        """Take the same Gaussians as they are at another time, and their own colours there."""
        self._means, self._rgb = gaussians.means, rgb

    def colours(self, document: Document, mode: str, eye: Float[np.ndarray, " 3"]) -> Colours:
        """Give every Gaussian's colour.

        Args:
            document: what stands on the page.
            mode: one of desk.MODES.
            eye: where depth is seen from, world units.

        Raises:
            LangfieldError: the field lacks what the mode shows.
        """
        rgb = self._base(document)
        if mode == "relevancy" and document.queries:
            rgb = self._relevancy(document, rgb)
        elif mode == "language":
            rgb = self._once(f"language {self._level(document)}", lambda: self._language(self._level(document)))
        elif mode == "depth":
            means = self._means.detach().float().cpu().numpy()
            rgb = colours.spread_colours(np.linalg.norm(means - eye, axis=1))
        elif mode == "instances":
            rgb = self._once("instances", self._instances)
        return _with_selection(rgb, document)

    def _base(self, document: Document) -> Colours:
        if not document.edits.tints:
            return self._rgb
        rgb = self._rgb.copy()
        for rows, colour in document.edits.tints:
            rgb[rows] = colour
        return rgb

    def _relevancy(self, document: Document, rgb: Colours) -> Colours:
        if len(document.queries) == 1:
            query = document.queries[0]
            return colours.relevancy_colours(query.shown, query.threshold, top_of(query), rgb)
        layers = [(q.shown, q.threshold, top_of(q), q.colour) for q in document.queries]
        return colours.layered_colours(layers, rgb)

    def _level(self, document: Document) -> int:
        codes = self._field.codes
        if codes is None:
            raise LangfieldError("this field has no language part", remedy="finish its language stage first")
        return document.query.level if document.query else len(codes) - 1

    def _once(self, name: str, make: Callable[[], Colours]) -> Colours:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @torch.no_grad()
    def _language(self, level: int) -> Colours:
        """Colour by the main directions of the embeddings, or of the codes where a network would have to decode."""
        codes, codec = cast(Tensor, self._field.codes), self._field.codec
        if codec is None or not codec.linear:
            return colours.latent_colours(codes[level])
        seen = torch.nonzero((codes[level] != 0).any(dim=1))[:, 0]
        if len(seen) < 4:
            return colours.latent_colours(torch.zeros(codes.shape[1], 3))
        sample = codec.decode(codes[level][seen[:: len(seen) // 4000 + 1]]).float()
        main = torch.linalg.svd(sample - sample.mean(0), full_matrices=False).Vh[:3]
        return colours.latent_colours(Similarity(self._field).products(main)[level], unit=False)

    def _instances(self) -> Colours:
        found = self._field.instances
        if found is None or not len(found):
            raise LangfieldError(
                "this run does not know its things", remedy="train with --pipeline.settings.language.mode lift"
            )
        of = np.full(len(self._rgb), -1)
        for i in np.argsort(found.reliability.numpy()):  # the most certain one is painted last
            of[found.gaussians(int(i)).numpy()] = i
        return colours.label_colours(of)


def _with_selection(rgb: Colours, document: Document) -> Colours:
    if not len(document.selection):
        return rgb
    out = rgb.copy()
    out[document.selection] = selected_colours(out[document.selection], np.ones(1))
    return out


def selected_colours(rgb: UInt8[np.ndarray, "S 3"], share: Float[np.ndarray, " #S"]) -> UInt8[np.ndarray, "S 3"]:
    """Give colours of what is selected, each as far as its share (0 to 1) of the selection goes."""
    most = (SELECTED_SHARE * share)[:, None]
    return (rgb * (1 - most) + SELECTED * most).astype(np.uint8)
