"""A field seen through a camera: relevancy maps per level, their smoothing, and where they peak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int16
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.codec.types import Codec
from langfield.errors import QueryError
from langfield.field.language import unit_codes
from langfield.field.types import Field
from langfield.query.relevancy import NEUTRAL, Phrases
from langfield.query.similarity import StillView, draw_language, similar_view
from langfield.raster.types import RasterOptions, View

FILTER_PX = 30
THRESHOLD = 0.4
SMOOTH_PX = 3
TIE = 1e-5
"""Relevancies nearer than this are equal: rounding noise must not choose a place."""
NO_LATENT = 0.3
"""A blended code shorter than this says nothing: its pixel is hardly covered, or by things that disagree."""
MIN_ALPHA = 0.05
"""Where less of the view than this is covered there is nothing to measure depth to."""
CHUNK_FLOATS = 2**24


@dataclass(frozen=True)
class Peak:
    """The highest place of a stack of maps."""

    level: int
    x: int
    """Column, pixels."""
    y: int
    """Row, pixels."""
    score: float


@torch.no_grad()
def render_latents(field: Field, camera: Camera, colour: bool = False) -> tuple[Float[Tensor, "L H W d"], View]:
    """Blend the codes of all levels in one pass.

    Raises:
        QueryError: the field has no language part.
    """
    codes, _ = language_of(field)
    levels, _, width = codes.shape
    channels = unit_codes(codes.to(field.gaussians.means)).movedim(0, 1).flatten(1)  # N L*d
    drawn, view = draw_language(field, camera, channels, colour)
    latents = drawn.unflatten(-1, (levels, width)).movedim(2, 0)
    return latents, view


def language_of(field: Field) -> tuple[Float[Tensor, "L N d"], Codec]:
    """Give a field's codes and codec.

    Raises:
        QueryError: the field has no language part.
    """
    if field.codes is None or field.codec is None:
        raise QueryError("this field has no language part", remedy="finish its language stage first")
    return field.codes, field.codec


@torch.no_grad()
def vectors_of(codes: Float[Tensor, "M d"] | Int16[Tensor, "M K"], codec: Codec) -> Float[Tensor, "M D"]:
    """Give the float32 unit vectors that codes of one level stand for, as the field holds them; zero for zero codes."""
    found = codec.decode(unit_codes(codes.float()) if codes.is_floating_point() else codes).float()
    return torch.where((codes != 0).any(dim=1, keepdim=True), normalize(found, dim=1), 0.0).cpu()


@torch.no_grad()
def relevancy_of_latents(latents: Float[Tensor, "*B d"], codec: Codec, phrases: Phrases) -> Float[Tensor, " Q *B"]:
    """Decode blended codes and give their relevancies, never holding more than 64 MiB of decoded vectors.

    The code of a pixel is scaled to unit length first: where a pixel is partly covered, its code is the right
    direction at less than unit length, which the decoder has never seen. Pixels without a code get 0.5.
    """
    flat = latents.reshape(-1, latents.shape[-1])
    length = flat.norm(dim=-1, keepdim=True)
    seen = length > NO_LATENT
    flat = torch.where(seen, flat / length.clamp_min(1e-12), 0.0)
    rows = max(1, CHUNK_FLOATS // codec.dim)
    parts = [phrases.scores(codec.decode(part)) for part in flat.split(rows)]
    return torch.cat(parts, dim=1).unflatten(1, latents.shape[:-1])


def relevancy_maps(field: Field, camera: Camera, phrases: Phrases) -> Float[Tensor, "Q L H W"]:
    """Give the relevancy of every pixel, per phrase and level, as seen through a camera."""
    if language_of(field)[1].linear:
        return StillView(field, camera).maps(phrases)
    return relevancy_view(field, camera, phrases)[0]


def relevancy_view(
    field: Field, camera: Camera, phrases: Phrases, level: int | None = None, colour: bool = False
) -> tuple[Float[Tensor, "Q L H W"], View]:
    """Give the relevancy of every pixel, per phrase and level, and the view it was drawn with.

    Where the codec is linear nothing is decoded (`langfield.query.similarity`); else blended codes are.

    Args:
        field: one with a language part.
        camera: where it is seen from.
        phrases: what is asked.
        level: only this one; None for all.
        colour: draw the picture too.

    Raises:
        QueryError: the field has no language part.
    """
    _, codec = language_of(field)
    if codec.linear:
        return similar_view(field, camera, phrases, level, colour)
    latents, view = render_latents(field, camera, colour)
    latents = latents if level is None else latents[level : level + 1]
    return relevancy_of_latents(latents, codec, phrases), view


@torch.no_grad()
def blend_scores(field: Field, camera: Camera, scores: Float[Tensor, "L N"]) -> Float[Tensor, "L H W"]:
    """Blend relevancies of Gaussians into a view: what is expected along the ray, 0.5 where nothing is.

    Near to `relevancy_maps` (which decodes what codes blend to) at the cost of one drawing; for searching many views.
    """
    from langfield.raster import rasterize

    channels = (scores - NEUTRAL).T.to(field.gaussians.means).contiguous()
    view = rasterize(field.language_gaussians, camera, channels=channels, options=RasterOptions(colour=False))
    return cast(Tensor, view.channels).movedim(-1, 0) + NEUTRAL


def mean_filter(maps: Float32[np.ndarray, "*B H W"], size_px: int = FILTER_PX) -> Float32[np.ndarray, "*B H W"]:
    """Average over a square window, mirrored at the border (LangSplat: 30 × 30; an even window leans up and left).

    Args:
        maps: float32 maps.
        size_px: side of the window at the resolution of the maps.
    """
    flat = np.ascontiguousarray(maps, dtype=np.float32).reshape(-1, *maps.shape[-2:])
    out = np.stack([cv2.blur(one, (size_px, size_px), borderType=cv2.BORDER_REFLECT_101) for one in flat])
    return out.reshape(maps.shape)


def find_peak(filtered: Float32[np.ndarray, "L H W"]) -> Peak:
    """Find the highest place: lowest level, then the innermost pixel of the plateau, then reading order.

    Large flat segments give plateaus of equal values; their middle is the sensible place to point at, and rounding
    noise must not choose another.
    """
    tops = filtered.reshape(len(filtered), -1).max(axis=1)
    level = int(np.argmax(tops >= tops.max() - TIE))
    y, x = innermost(filtered[level] >= tops[level] - TIE)
    return Peak(level, x, y, float(tops[level]))


def innermost(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """Give row and column of the pixel of a mask that is farthest from the mask's edge, first in reading order."""
    padded = np.pad(mask, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = divmod(int(np.argmax(depth >= depth.max() - 1e-3)), mask.shape[1])
    return y, x


def cut_mask(raw: Float32[np.ndarray, "H W"], filtered: Float32[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Cut a relevancy map into a mask by LangSplat's rule.

    Half raw, half filtered; stretched from its least to its greatest value onto [-1, 1]; cut at 0.4, which is 0.7 of
    the range; then the majority of 7 × 7 pixels.

    Args:
        raw: relevancy of one level.
        filtered: the same after the 30 × 30 mean filter.
    """
    mixed = 0.5 * (raw + filtered)
    mixed = mixed - mixed.min()
    stretched = mixed / (mixed.max() + 1e-9) * 2.0 - 1.0
    return majority(stretched > THRESHOLD)


def majority(mask: Bool[np.ndarray, "H W"], reach_px: int = SMOOTH_PX) -> Bool[np.ndarray, "H W"]:
    """Set each pixel to what more than half of its window is; a tie gives False.

    As in LangSplat's published code the windows never reach the last row and column of the picture.
    """
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    sums[1:, 1:] = mask.cumsum(0).cumsum(1)
    y0, y1 = _window(height, reach_px)
    x0, x1 = _window(width, reach_px)
    ones = sums[y1][:, x1] - sums[y0][:, x1] - sums[y1][:, x0] + sums[y0][:, x0]
    return 2 * ones > (y1 - y0)[:, None] * (x1 - x0)[None, :]


def _window(size: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    at = np.arange(size)
    return np.maximum(at - reach, 0), np.minimum(at + reach + 1, max(size - 1, 1))
