"""From a click to a Gaussian of a field in shards, and from Gaussians to what stands for them at any level."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.field.lod import stand_ins
from langfield.field.lod_choice import boxes_of, eye_of, in_sight
from langfield.field.shards import Shards
from langfield.raster import RasterOptions, rasterize, to_screen
from langfield.raster.types import Gaussians
from langfield.viewer.picking import LEAST_WEIGHT, Look, around, most_of
from langfield.viewer.rows import EMPTY, Rows

NAMES = ("means", "quats", "log_scales", "logit_opacities")


class Picked:
    """Some of the Gaussians of a field in shards.

    Args:
        shards: opened.
        rows: counted through all shards.
    """

    def __init__(self, shards: Shards, rows: Rows = EMPTY) -> None:
        self._shards, self.rows = shards, rows

    @cached_property
    def _own(self) -> dict[int, Int64[Tensor, " s"]]:
        return {shard: own for shard, (_, own) in self._shards.split(self.rows).items()}

    @property
    def shards(self) -> frozenset[int]:
        """Shards that hold any of them."""
        return frozenset(self._own)

    def share(self, number: int, level: int) -> Float[np.ndarray, " n"]:
        """Give which of a shard's Gaussians are picked (0 or 1); of a stand-in, how many of those it stands for.

        Raises:
            FormatError: a level of the shard is not made of its Gaussians.
        """
        parts = self._shards.index.shards[number].levels
        count = parts[level].count
        if number not in self._own:
            return np.zeros(count)
        if level == 0:
            runs, own = np.arange(count), self._own[number].numpy()
        else:
            runs = stand_ins(self._shards.tensors(number, 0, ["means"])["means"], count).numpy()
            own = runs[self._own[number].numpy()]
        return np.bincount(own, minlength=count) / np.maximum(np.bincount(runs, minlength=count), 1)


@torch.no_grad()
def under_click(shards: Shards, look: Look, at: tuple[float, float]) -> int | None:
    """Give the row of the Gaussian that makes most of the pixel under a click, or None where there is nothing.

    Shards are read near to far, one at a time, until nothing that lies behind can matter; of each only what touches
    the pixels around the click is kept.

    Args:
        shards: opened.
        look: how the page looked.
        at: column and row of the click, 0 to 1 from the upper left.
    """
    window = around(look, at)
    boxes, eye = boxes_of(shards.index), eye_of(window)
    corners = np.stack([boxes[:, [i, j, k], [0, 1, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)], axis=1)
    begins = ((corners - eye.position) @ eye.T_camera_world[2]).min(axis=1)
    seen = in_sight(boxes, eye)
    kept = _Kept(window)
    for number in np.argsort(begins, kind="stable").tolist():
        if not seen[number]:
            continue
        if kept.is_settled(float(begins[number])):
            break
        kept.add(_plain(shards.tensors(number, 0, NAMES)), shards.index.first[number])
    return kept.row()


def _plain(tensors: dict[str, Tensor]) -> Gaussians:
    """Give Gaussians without colours."""
    means, quats, log_scales, logits = (tensors[name].float() for name in NAMES)
    return Gaussians(means, quats, log_scales, logits, torch.zeros(1, 1, 3).expand(len(means), 1, 3))


class _Kept:
    """What touches a few pixels, of all that was looked at."""

    def __init__(self, window: Camera) -> None:
        self._window = window
        self._rows = torch.zeros(0, dtype=torch.int64)
        self._depths = torch.zeros(0)
        self._gaussians: Gaussians | None = None

    def add(self, gaussians: Gaussians, first: int) -> None:
        """Keep what touches the pixels; `first` is the row of the first of these Gaussians."""
        splats = to_screen(gaussians, self._window, RasterOptions(colour=False)).splats
        touch = (splats.radii > 0).all(dim=1).nonzero()[:, 0]
        own = Gaussians(*(t[touch] for t in gaussians.tensors()))
        old = own if self._gaussians is None else self._gaussians
        pairs = zip(old.tensors(), own.tensors(), strict=True)
        self._gaussians = own if old is own else Gaussians(*(torch.cat(pair) for pair in pairs))
        self._rows = torch.cat([self._rows, touch + first])
        self._depths = torch.cat([self._depths, splats.depths[touch]])

    def is_settled(self, depth: float) -> bool:
        """Tell whether nothing from a depth on can make more of the middle pixel than what lies before it."""
        nearer = (self._depths < depth).nonzero()[:, 0]
        if self._gaussians is None or not len(nearer):
            return False
        before = Gaussians(*(t[nearer] for t in self._gaussians.tensors()))
        alpha = rasterize(before, self._window, options=RasterOptions(colour=False)).alpha
        middle = len(alpha) // 2
        return 1 - float(alpha[middle, middle]) < max(most_of(before, self._window)[1], LEAST_WEIGHT)

    def row(self) -> int | None:
        """Give what makes most of the middle pixel."""
        if self._gaussians is None or not len(self._rows):
            return None
        found, weight = most_of(self._gaussians, self._window)
        return int(self._rows[found]) if weight > LEAST_WEIGHT else None
