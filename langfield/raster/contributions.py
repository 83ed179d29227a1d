"""Questions to one view beside its picture: who makes a pixel, where a Gaussian is seen, what its codes blend to.

All take a `Screen`, so that several questions to one view share its projection; geometry is a constant to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

from langfield.errors import FormatError, SettingsError
from langfield.raster import ops_contributions as ops
from langfield.raster import reference_contributions as reference
from langfield.raster.screen import Screen, tiles_of

MOST_TOP = 32
MOST_PAIRS = 64
MOST_SEGMENT = 2**31 - 2
MOST_LEVELS = 64
NO_SEGMENT = -1
LOOK_UP_FAULTS = (
    "an index lies outside the table",
    "weight holds values that are not finite",
    "table holds values that are not finite",
)


@dataclass(frozen=True)
class Gate:
    """Which contributions count as seen (VALA 2509.05515: 0.9 of the mass, weights of at least 0.01)."""

    coverage: float = 0.9
    """A Gaussian counts at a pixel while nearer ones took less than this share of the light; 1: always."""
    floor: float = 0.01
    """Smallest blend weight that counts."""


@dataclass(frozen=True)
class SegmentWeights:
    """A sparse matrix (Gaussian, segment) of blend weights; rows differ, sorted by gaussian, level, segment."""

    gaussian: Int64[Tensor, " M"]
    level: Int32[Tensor, " M"]
    segment: Int32[Tensor, " M"]
    weight: Float[Tensor, " M"]
    """Sum of alpha T over the segment's pixels that pass the gate; 0 where none does."""
    weight_all: Float[Tensor, " M"]
    """The same over all of its pixels."""
    total: Float[Tensor, " N"]
    """Sum of alpha T over the whole view, whatever the segments."""

    def of_level(self, level: int) -> SegmentWeights:
        """Give the rows of one level."""
        own = self.level == level
        keys = self.gaussian[own], self.level[own], self.segment[own]
        return SegmentWeights(*keys, self.weight[own], self.weight_all[own], self.total)


@torch.no_grad()
def scatter_segments(screen: Screen, segments: Int[Tensor, "*L H W"], gate: Gate | None = None) -> SegmentWeights:
    """Sum the blend weights of each Gaussian over each segment it is seen in; costs O(pixels) whatever is lifted.

    This is the matrix A^T S of closed-form lifting x = A^T b / A^T 1 where the quantity b is constant per segment
    (b = S e): the caller multiplies it with a table e of one row a segment.

    Args:
        screen: N Gaussians in a view of H x W pixels.
        segments: any integer dtype, ids 0 to 2^31 - 2, -1 for none; one map or one per level, walked together.
        gate: which contributions go into `weight`; None for the default.

    Raises:
        FormatError: the maps have another size than the view, are not integers or hold other ids.
        SettingsError: the gate lies outside its range, or levels times Gaussians reach 2^32.
    """
    gate = gate or Gate()
    if not (0 < gate.coverage <= 1 and 0 <= gate.floor <= 1):
        raise SettingsError("coverage must be above 0 and at most 1, floor 0 to 1", f"{gate.coverage}, {gate.floor}")
    planes = _planes(screen, segments)
    if len(planes) * len(screen) >= 2**32:
        raise SettingsError("so many levels and Gaussians cannot be told apart", f"{len(planes)} x {len(screen)}")
    if screen.tiles is None:
        found = reference.scatter(_scene(screen), planes, gate.coverage, gate.floor)
    else:
        found = ops.scatter_segments(*_walk(screen), planes, gate.coverage, gate.floor)
    return SegmentWeights(*found)


@torch.no_grad()
def top_contributors(screen: Screen, k: int) -> tuple[Int32[Tensor, "H W {k}"], Float[Tensor, "H W {k}"]]:
    """Give the k Gaussians with the largest blend weights alpha T at every pixel, largest first, of equals the nearer.

    Args:
        screen: the view.
        k: 1 to 32.

    Returns:
        Ids, -1 where there are fewer, and weights, 0 there.

    Raises:
        SettingsError: k lies outside its range.
    """
    if not 1 <= k <= MOST_TOP:
        raise SettingsError(f"k must be 1 to {MOST_TOP}", f"k {k}")
    return reference.top(_scene(screen), k) if screen.tiles is None else ops.top_contributors(*_walk(screen), k)


def splat_codes(
    screen: Screen, index: Int[Tensor, "N K"], weight: Float[Tensor, "N K"], atoms: int
) -> Float[Tensor, "H W {atoms}"]:
    """Blend sparse codes: each Gaussian brings K (atom, weight) pairs, and only those are worked.

    As LangSplatV2 (2507.07136) does; the cost of a contribution is K, not A. Gradients flow to `weight`; the geometry
    is a constant, and so is which atoms a Gaussian uses.

    Args:
        screen: the view.
        index: any integer dtype, 0 to atoms - 1; an atom named twice counts twice. K is 1 to 64.
        weight: the screen's dtype, finite.
        atoms: A, length of a pixel's code.

    Raises:
        FormatError: shapes, dtypes or devices do not fit, an index lies outside 0 to A - 1, a weight is not finite.
        SettingsError: A is not positive.
    """
    if atoms < 1:
        raise SettingsError("a code needs at least one atom", f"atoms {atoms}")
    _check_codes(index, weight, (len(screen),), atoms)
    _check_like(screen, {"weight": weight, "index": index})
    if screen.tiles is None:
        return reference.splat_codes(_scene(screen), index, weight, atoms)
    return ops.splat_codes(*_walk(screen), index.to(torch.int32), weight, atoms)


@torch.no_grad()
def gaussian_scores(
    index: Int[Tensor, "N L K"], weight: Float[Tensor, "N L K"], table: Float[Tensor, "L A Q"]
) -> Float[Tensor, "N L Q"]:
    """Give each Gaussian's score for Q queries, sum_k weight[k] table[index[k]]: a dot product without the vectors.

    A query's similarity to a sparse code is linear in the code, so it is enough to know it for the A atoms of a level.

    Args:
        index: any integer dtype, 0 to A - 1.
        weight: finite.
        table: similarity of atom and query, one table a level; the dtype of `weight`, finite.

    Raises:
        FormatError: shapes, dtypes or devices do not fit, an index lies outside 0 to A - 1, a number is not finite.
    """
    scores, wrong = _scores(index, weight, table)
    _check_looked_up(wrong, index)
    return scores


def _scores(index: Tensor, weight: Tensor, table: Tensor) -> tuple[Tensor, Tensor | None]:
    """Give scores, and on a GPU what its kernel found wrong with the codes, to be read when the CPU waits anyway."""
    levels, atoms, queries = table.shape if table.dim() == 3 else (0, 0, 0)
    if not (levels and atoms and queries):
        raise FormatError("table must be levels x atoms x queries, none of them zero", f"table {list(table.shape)}")
    leading = (index.shape[0] if index.dim() else 0, levels)
    if weight.is_cuda:
        _check_code_shapes(index, weight, leading)
    else:
        _check_codes(index, weight, leading, atoms)
    where = f"table {table.dtype} on {table.device}"
    if table.dtype != weight.dtype or table.device != weight.device:
        raise FormatError(f"table is not as weight ({weight.dtype} on {weight.device})", where)
    finite = table.isfinite().all()
    if not weight.is_cuda and not finite:
        raise FormatError(LOOK_UP_FAULTS[2], where)
    scores, wrong = ops.look_up_scores(index, weight, table)
    return scores, torch.maximum(wrong, 3 * finite.logical_not().int()) if weight.is_cuda else None


def _check_looked_up(wrong: Tensor | None, index: Tensor) -> None:
    kind = 0 if wrong is None else int(wrong)
    if kind:
        raise FormatError(LOOK_UP_FAULTS[kind - 1], f"index {list(index.shape)} {index.dtype}")


@torch.no_grad()
def splat_scores(
    screen: Screen, index: Int[Tensor, "N L K"], weight: Float[Tensor, "N L K"], table: Float[Tensor, "L A Q"]
) -> Float[Tensor, "H W L Q"]:
    """Blend the scores of Q queries at L levels: a picture of codes times the tables, at the cost of L Q channels.

    Divide by alpha for the score expected along the ray. Not differentiable.

    Args:
        screen: the view.
        index: any integer dtype, 0 to A - 1.
        weight: finite.
        table: similarity of atom and query, one table a level; finite.

    Raises:
        FormatError: shapes, dtypes or devices do not fit, an index lies outside 0 to A - 1, a number is not finite.
    """
    if index.dim() != 3 or index.shape[0] != len(screen):
        raise FormatError(f"index is not [{len(screen)}, levels, K]", f"index {list(index.shape)}")
    _check_like(screen, {"weight": weight, "index": index})
    scores, wrong = _scores(index, weight, table)
    drawn = splat_channels(screen, scores.flatten(1)).unflatten(-1, tuple(table.shape[::2]))
    _check_looked_up(wrong, index)
    return drawn


@torch.no_grad()
def splat_channels(screen: Screen, channels: Float[Tensor, "N C"]) -> Float[Tensor, "H W C"]:
    """Blend channels alone, without colour and depth; not differentiable.

    Args:
        screen: the view.
        channels: the screen's dtype.

    Raises:
        FormatError: shape, dtype or device do not fit.
    """
    if channels.dim() != 2 or len(channels) != len(screen) or channels.shape[1] == 0:
        raise FormatError(f"channels are not {len(screen)} x C", f"channels {list(channels.shape)}")
    _check_like(screen, {"channels": channels})
    if screen.tiles is None:
        return reference.splat_channels(_scene(screen), channels)
    return ops.splat_channels(*_walk(screen), channels)


def _scene(screen: Screen) -> reference.Scene:
    s = screen.splats
    parts = (s.means2d, s.conics, s.depths, s.opacities, s.colours, s.radii)
    return reference.Scene(type(s)(*(t.detach() for t in parts)), screen.size, screen.smooth)


def _walk(screen: Screen) -> tuple[Tensor | int | bool, ...]:
    assert screen.tiles is not None  # noqa: S101
    return (screen.packed, *tiles_of(screen.tiles), *screen.size, screen.smooth)


def _planes(screen: Screen, segments: Tensor) -> Int32[Tensor, "L H W"]:
    where = f"segments {list(segments.shape)} {segments.dtype} on {segments.device}"
    if segments.is_floating_point() or segments.is_complex() or segments.dtype == torch.bool:
        raise FormatError("a segment map must hold integers", where)
    planes = segments[None] if segments.dim() == 2 else segments
    if planes.dim() != 3 or len(planes) == 0 or tuple(planes.shape[1:]) != (screen.height, screen.width):
        raise FormatError(f"the segment map is not of the view's size, {screen.height} x {screen.width}", where)
    if len(planes) > MOST_LEVELS:
        raise FormatError(f"more than {MOST_LEVELS} segment maps at once", where, "ask in several calls")
    if segments.device != screen.splats.means2d.device:
        raise FormatError(f"the segment map is not on the Gaussians' device, {screen.splats.means2d.device}", where)
    least, most = (int(x) for x in planes.aminmax())
    if least < NO_SEGMENT or most > MOST_SEGMENT:
        raise FormatError(f"segment ids must be -1 or 0 to {MOST_SEGMENT}, not {least} to {most}", where)
    return planes.to(torch.int32)


def _check_code_shapes(index: Tensor, weight: Tensor, leading: tuple[int, ...]) -> None:
    where = f"index {list(index.shape)} {index.dtype}, weight {list(weight.shape)} {weight.dtype}"
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool or not weight.is_floating_point():
        raise FormatError("index must hold integers and weight floats", where)
    pairs = index.shape[-1] if index.dim() == len(leading) + 1 else 0
    if not 1 <= pairs <= MOST_PAIRS or tuple(index.shape[:-1]) != leading or index.shape != weight.shape:
        raise FormatError(f"index and weight must both be {[*leading, 'K']} with K 1 to {MOST_PAIRS}", where)
    if index.device != weight.device:
        raise FormatError(f"index is on {index.device} and weight on {weight.device}", where)


def _check_codes(index: Tensor, weight: Tensor, leading: tuple[int, ...], atoms: int) -> None:
    _check_code_shapes(index, weight, leading)
    if index.numel() == 0:
        return
    where = f"index {list(index.shape)} {index.dtype}, weight {list(weight.shape)} {weight.dtype}"
    least, most = (int(x) for x in index.aminmax())
    if least < 0 or most >= atoms:
        raise FormatError(f"indices must be 0 to {atoms - 1}, and {least} to {most} are there", where)
    if not weight.detach().sum().isfinite() and not weight.detach().isfinite().all():  # a sum is cheaper
        raise FormatError("weight holds values that are not finite", where)


def _check_like(screen: Screen, tensors: dict[str, Tensor]) -> None:
    like = screen.splats.means2d
    for name, tensor in tensors.items():
        wrong = tensor.is_floating_point() and tensor.dtype != like.dtype
        if wrong or tensor.device != like.device:
            where = f"{name} {tensor.dtype} on {tensor.device}"
            raise FormatError(f"{name} is not as the screen's tensors ({like.dtype} on {like.device})", where)
