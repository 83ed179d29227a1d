"""What views say about Gaussians, as sums that can be added and taken away again exactly.

Closed-form lifting, x_j = sum_i A_ij b_i / sum_i A_ij (SFS 2508.12216; Occam's LGS 2412.01807), where pixel features b
are constant per segment: all a view says is then a sparse matrix (Gaussian, segment) of blend weights. Weights are kept
in whole steps of 2^-30 pixels, so that sums do not depend on their order, and a view taken away leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import FormatError, SettingsError
from langfield.raster import Gate, Gaussians, RasterOptions, SegmentWeights, scatter_segments, to_screen

STEPS_PER_PX = 2**30
COLUMN_BITS, GAUSSIAN_BITS, LEVEL_BITS = 31, 29, 3
SEGMENT_BITS = 15
"""A segment is a row of its frame's table, an int16 id."""
MAX_VIEWS = 2 ** (COLUMN_BITS - SEGMENT_BITS)
MAX_GAUSSIANS = 2**GAUSSIAN_BITS


@dataclass(frozen=True)
class Sums:
    """Sums of blend weight per level, Gaussian and column: the elements of a commutative group.

    A column is a segment of a view (`column_of`). State is 24 bytes per entry, and grows with what was seen, not with
    Gaussians times the width of an embedding.
    """

    key: Int64[Tensor, " M"]
    """Level, Gaussian and column packed, rising; each at most once."""
    steps: Int64[Tensor, "M 2"]
    """Weight that passed the visibility gate, and all weight, in steps of 2^-30 pixels; never both 0."""

    def __len__(self) -> int:
        return len(self.key)

    def __add__(self, other: Sums) -> Sums:
        return merge([self, other])

    def __neg__(self) -> Sums:
        return Sums(self.key, -self.steps)

    def __sub__(self, other: Sums) -> Sums:
        return merge([self, -other])

    @property
    def level(self) -> Int64[Tensor, " M"]:
        """Level of each entry."""
        return self.key >> (COLUMN_BITS + GAUSSIAN_BITS)

    @property
    def gaussian(self) -> Int64[Tensor, " M"]:
        """Gaussian of each entry."""
        return (self.key >> COLUMN_BITS) & (MAX_GAUSSIANS - 1)

    @property
    def column(self) -> Int64[Tensor, " M"]:
        """Column of each entry."""
        return self.key & (2**COLUMN_BITS - 1)

    @property
    def weight(self) -> Float[Tensor, "M 2"]:
        """Gated weight and all weight in pixels, float64."""
        return self.steps.double() / STEPS_PER_PX

    def tensors(self) -> dict[str, Tensor]:
        """Give the state for `artefacts.write_tensors`."""
        return {"key": self.key, "steps": self.steps}


def load_sums(tensors: Mapping[str, Tensor]) -> Sums:
    """Make sums from `Sums.tensors`.

    Raises:
        FormatError: tensors are missing or of another shape, or keys do not rise.
    """
    key, steps = tensors.get("key"), tensors.get("steps")
    if key is None or steps is None or len(tensors) != 2:
        raise FormatError("sums have missing or unknown tensors", ", ".join(sorted(tensors))[:80], "lift again")
    if key.dtype != torch.int64 or steps.dtype != torch.int64 or key.ndim != 1 or steps.shape != (len(key), 2):
        found = f"key {tuple(key.shape)} {key.dtype}, steps {tuple(steps.shape)} {steps.dtype}"
        raise FormatError("sums are not int64 tensors of M and M x 2", found, "lift again")
    if len(key) and (bool((key[1:] <= key[:-1]).any()) or int(key[0]) < 0):
        raise FormatError("sums are not in rising order of their keys", f"{len(key)} entries", "lift again")
    return Sums(key, steps)


def empty_sums() -> Sums:
    """Give the sums of no views."""
    return Sums(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.int64))


def merge(parts: Sequence[Sums]) -> Sums:
    """Add sums; what cancels leaves no entry."""
    if not parts:
        return empty_sums()
    return collect(torch.cat([p.key for p in parts]), torch.cat([p.steps for p in parts]))


def collect(key: Int64[Tensor, " K"], steps: Int64[Tensor, "K 2"]) -> Sums:
    """Add up entries in any order, with keys that may recur."""
    order = key.argsort()
    unique, which = torch.unique_consecutive(key[order], return_inverse=True)
    total = torch.zeros(len(unique), 2, dtype=torch.int64).index_add_(0, which, steps[order])
    kept = (total != 0).any(dim=1)
    return Sums(unique[kept], total[kept])


def pack(level: Int[Tensor, " M"], gaussian: Int64[Tensor, " M"], column: Int[Tensor, " M"]) -> Int64[Tensor, " M"]:
    """Give the keys of entries."""
    rows = (level.long() << GAUSSIAN_BITS) | gaussian
    return (rows << COLUMN_BITS) | column.long()


def column_of(view: int, segment: Int[Tensor, " M"]) -> Int64[Tensor, " M"]:
    """Give the columns of a view's segments; they do not depend on which other views there are."""
    return (view << SEGMENT_BITS) | segment.long()


def look(
    gaussians: Gaussians, camera: Camera, ids: Int[Tensor, "L H W"], view: int = 0, gate: Gate | None = None
) -> Sums:
    """Give all that one view says: the weight of each Gaussian in each of its segments, level by level.

    Args:
        gaussians: N Gaussians.
        camera: the view, of the id maps' size.
        ids: segment per level and pixel, below 2^15, -1 where there is none.
        view: number of the view, 0 to 65535. To take the view away again subtract what was given here, not a second
            look: on a GPU the last bits of two looks differ.
        gate: which contributions count as seen.

    Raises:
        SettingsError: there are more views, levels or Gaussians than keys can tell apart.
        FormatError: id maps and camera do not fit.
    """
    if not 0 <= view < MAX_VIEWS or len(ids) > 2**LEVEL_BITS or len(gaussians) > MAX_GAUSSIANS:
        raise SettingsError(
            f"lifting takes {MAX_VIEWS} views, {2**LEVEL_BITS} levels and {MAX_GAUSSIANS} Gaussians at most",
            f"view {view}, {len(ids)} levels, {len(gaussians)} Gaussians",
        )
    screen = to_screen(gaussians.detach(), camera, RasterOptions(colour=False))
    return view_sums(scatter_segments(screen, ids.to(gaussians.means.device), gate), view)


def view_sums(weights: SegmentWeights, view: int) -> Sums:
    """Give one view's sums from what the rasterizer scattered; segments below 2^15."""
    if len(weights.segment) and int(weights.segment.max()) >= 2**SEGMENT_BITS:
        raise FormatError(f"a view has segment {int(weights.segment.max())}, ids end at {2**SEGMENT_BITS - 1}", view)
    level, both = weights.level.cpu(), torch.stack([weights.weight, weights.weight_all], dim=1).cpu().double()
    key = pack(level, weights.gaussian.cpu(), column_of(view, weights.segment.cpu()))
    steps = (both * STEPS_PER_PX).round().long()
    kept = (steps[:, 0] | steps[:, 1]) != 0
    # rows differ and come by Gaussian, level and segment: level by level their keys rise
    levels = int(level.max()) + 1 if len(level) else 0
    order = torch.cat([level.new_zeros(0).long(), *(((level == one) & kept).nonzero()[:, 0] for one in range(levels))])
    return Sums(key.index_select(0, order), steps.index_select(0, order))


def rename(sums: Sums, name: Int64[Tensor, " N"]) -> Sums:
    """Give sums whose Gaussians have other numbers.

    Args:
        sums: of Gaussians 0 to N - 1.
        name: the new number of each, each at most once; -1 for those that are no longer there.
    """
    new = name[sums.gaussian]
    kept = new >= 0
    sums, new = (sums, new) if bool(kept.all()) else (Sums(sums.key[kept], sums.steps[kept]), new[kept])
    key = pack(sums.level, new, sums.column)
    return Sums(key, sums.steps) if bool((key[1:] > key[:-1]).all()) else collect(key, sums.steps)


def renumber(sums: Sums, old: int, new: int) -> Sums:
    """Give one view's sums as those of a view of another number."""
    return Sums(sums.key + ((new - old) << SEGMENT_BITS), sums.steps)
