"""Questions that are not words: pictures, regions of a view, vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.calibrate import deviations, places_of
from langfield.query.image import language_of
from langfield.query.relevancy import Phrases, about_encoder
from langfield.segment.types import LEVELS, Segments
from langfield.suite.types import ImageEncoder

AVERAGE = "what the scene shows on average"


@dataclass(frozen=True)
class Region:
    """A place in one of a run's views: a pixel, a box, or a segment by its number."""

    view: str
    """Name of the view."""
    pixel: tuple[int, int] | None = None
    """Column and row."""
    box: tuple[int, int, int, int] | None = None
    """x0 y0 x1 y1 in pixels, x1 and y1 exclusive."""
    segment: int | None = None
    """Row of the view's segments."""
    level: int | None = None
    """Index into segment.LEVELS; None for the largest level that has a segment there."""

    def __str__(self) -> str:
        """Say where it is, as `langfield query --region` reads it."""
        place = self.pixel or self.box
        return f"{self.view}:" + (",".join(map(str, place)) if place else f"segment {self.segment}")


def ask_pictures(
    field: Field, encoder: ImageEncoder, pictures: Sequence[UInt8[np.ndarray, "h w 3"]], names: Sequence[str]
) -> Phrases:
    """Ask for what pictures show, such as a cut-out on black (`suite.crops.masked_crop`) or a product photo.

    Args:
        field: one with a language part.
        encoder: the image encoder the field was made with.
        pictures: RGB, any sizes; at least one.
        names: what to call each in answers.

    Raises:
        QueryError: there is no picture, a picture is not RGB of 8 bits, or encoder and field do not fit.
    """
    if not pictures or len(names) != len(pictures):
        raise QueryError("no picture was given, or not a name for each", f"{len(pictures)} pictures")
    for picture in pictures:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or picture.size == 0:
            raise QueryError("a picture is not H x W x 3 of 8 bits", f"{list(picture.shape)}, {picture.dtype}")
    return ask_sights(field, encoder.encode_images(pictures), names, about_encoder(encoder))


def ask_sights(
    field: Field, vectors: Float[Tensor, "Q D"], names: Sequence[str], encoder: dict[str, object] | None = None
) -> Phrases:
    """Ask for vectors of pictures or segments, by what sets them apart from the average of the scene.

    All vectors of pictures are alike to begin with, so words as negatives would rule nothing out. What a vector shares
    with the scene's average is taken away from the question; then 0.5 is as near to it as the average is.

    Args:
        field: one with a language part.
        vectors: any length but zero, in the space of the field's embeddings.
        names: what to call each in answers.
        encoder: what made them, for answers.

    Raises:
        QueryError: widths differ, or a vector is zero or not finite.
    """
    average, zero = places_of(field).average, torch.zeros(1, language_of(field)[1].dim)
    apart = deviations(_unit(vectors, zero), average)
    return Phrases(tuple(names), apart, zero, dict(encoder or {}), (AVERAGE,), space="image")


def ask_vectors(like: Phrases, vectors: Float[Tensor, "Q D"], names: Sequence[str]) -> Phrases:
    """Ask for raw vectors in the space of another question, held against the same.

    Args:
        like: gives negatives, encoder and space.
        vectors: any length but zero.
        names: what to call each in answers.

    Raises:
        QueryError: widths differ, or a vector is zero or not finite.
    """
    return replace(like, texts=tuple(names), positives=_unit(vectors, like.canonicals), rows=None)


def _unit(vectors: Float[Tensor, "Q D"], like: Float[Tensor, "K D"]) -> Float[Tensor, "Q D"]:
    vectors = vectors.detach().float().cpu()
    if vectors.ndim != 2 or len(vectors) == 0 or vectors.shape[1] != like.shape[1]:
        raise QueryError(f"vectors have shape {list(vectors.shape)}, the field holds width {like.shape[1]}")
    if not torch.isfinite(vectors).all() or (vectors == 0).all(dim=1).any():
        raise QueryError("a vector is zero or not finite", remedy="give vectors with a direction")
    return normalize(vectors, dim=-1)


def find_segment(segments: Segments, region: Region) -> int:
    """Give the row of the segment that a region means: at its pixel, or nearest to its box by IoU of boxes.

    Raises:
        QueryError: the region lies outside the view, or there is no segment.
    """
    height, width = segments.ids.shape[1:]
    levels = range(len(LEVELS))[::-1] if region.level is None else [region.level]
    if region.segment is not None:
        if 0 <= region.segment < len(segments.levels):
            return region.segment
        raise QueryError(f"the view has segments 0 to {len(segments.levels) - 1}", str(region))
    if region.box is not None:
        return _nearest_box(segments, region, levels)
    if region.pixel is None:
        raise QueryError("the region is empty", region.view, "give a pixel, a box or a segment")
    x, y = region.pixel
    if not (0 <= x < width and 0 <= y < height):
        raise QueryError(f"the pixel lies outside the view of {width} x {height}", str(region))
    found = [int(segments.ids[level, y, x]) for level in levels if segments.ids[level, y, x] >= 0]
    if not found:
        raise QueryError("no segment lies at that pixel", str(region), "choose another one")
    return found[0]


def _nearest_box(segments: Segments, region: Region, levels: Sequence[int]) -> int:
    rows = np.flatnonzero(np.isin(segments.levels, levels))
    if len(rows) == 0 or region.box is None:
        raise QueryError("the view has no segments", str(region))
    mine, boxes = np.array(region.box, np.float64), segments.boxes[rows].astype(np.float64)
    inner = np.clip(np.minimum(mine[2:], boxes[:, 2:]) - np.maximum(mine[:2], boxes[:, :2]), 0, None).prod(axis=1)
    union = (mine[2:] - mine[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - inner
    if (mine[2:] <= mine[:2]).any() or inner.max() <= 0:
        raise QueryError("the box is empty or holds no segment", str(region), "x0,y0,x1,y1 in pixels of the view")
    return int(rows[np.argmax(inner / union)])


def read_region(text: str) -> Region:
    """Read "VIEW:x,y" or "VIEW:x0,y0,x1,y1".

    Raises:
        QueryError: it is neither.
    """
    view, _, numbers = text.rpartition(":")
    parts = numbers.split(",")
    if view and len(parts) in (2, 4) and all(p.strip().isdigit() and len(p) < 9 for p in parts):
        values = [int(p) for p in parts]
        if len(values) == 2:
            return Region(view, pixel=(values[0], values[1]))
        return Region(view, box=(values[0], values[1], values[2], values[3]))
    raise QueryError("not a region", repr(text[:80]), "write VIEW:x,y or VIEW:x0,y0,x1,y1 in whole pixels")
