"""How well a picture's dense features tell named things apart: mean IoU over names, on labelled pixels alone.

Every pixel takes the name of the scene whose vector is nearest to its feature. What has no label is left out, so that
this measures features and their edges, and no threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import interpolate

from langfield.evaluate.labels import Query, draw_mask

NO_NAME = -1


def name_picture(queries: Sequence[Query], names: Sequence[str], height: int, width: int) -> Int[np.ndarray, "H W"]:
    """Paint one frame's labels: row into `names` per pixel, -1 where there is none; smaller things lie on top."""
    drawn = [(draw_mask(q.polygons, height, width), names.index(q.text)) for q in queries]
    picture = np.full((height, width), NO_NAME, np.int64)
    for mask, row in sorted(drawn, key=lambda one: -int(one[0].sum())):
        picture[mask] = row
    return picture


def nearest_names(
    features: Float[Tensor, "h w D"], vectors: Float[Tensor, "C D"], size: tuple[int, int]
) -> Int[np.ndarray, "H W"]:
    """Give the row of the nearest name's vector for every pixel of a picture of (height, width)."""
    products = (features @ vectors.T.to(features)).permute(2, 0, 1)[None]
    return interpolate(products, size=size, mode="bilinear", align_corners=False)[0].argmax(dim=0).numpy()


def names_iou(
    found: Mapping[str, Int[np.ndarray, "H W"]], wanted: Mapping[str, Int[np.ndarray, "H W"]], count: int
) -> Float[np.ndarray, " C"]:
    """Give the IoU of each of `count` names over all frames, by frame name; nan for names that no frame shows."""
    both, either = np.zeros(count), np.zeros(count)
    for frame, right in wanted.items():
        known = right != NO_NAME
        said = np.where(known, found[frame], NO_NAME)
        for row in range(count):
            both[row] += np.sum((said == row) & (right == row))
            either[row] += np.sum((said == row) | (right == row))
    shown = np.array([any((right == row).any() for right in wanted.values()) for row in range(count)])
    return np.where(shown, both / np.maximum(either, 1), np.nan)


def bilinear(patches: Float[Tensor, "D h w"], up: int) -> Float[Tensor, "H W D"]:
    """Give patch vectors brought up by bilinear interpolation: what an upsampler has to beat."""
    drawn = interpolate(patches[None], scale_factor=up, mode="bilinear", align_corners=False)[0]
    return torch.nn.functional.normalize(drawn, dim=0).permute(1, 2, 0)
