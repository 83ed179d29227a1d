"""From what views say to instances: which segments are one thing, which Gaussians are its, what its views agree on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.types import Codec
from langfield.errors import SettingsError
from langfield.field.cluster import join_segments
from langfield.field.deform import Deformation
from langfield.field.instances import Instances
from langfield.field.lift import SEGMENT_BITS, Sums
from langfield.field.lift_solve import Lifted, LiftSettings, LiftView, Segments, lift_codes, segments_of, sum_views
from langfield.field.overlap import Seen, measure_overlaps, seen_by
from langfield.raster import Gaussians
from langfield.raster.threads import kernels_only
from langfield.threads import one_thread


@dataclass(frozen=True)
class InstanceSettings:
    """How things are made of segments."""

    overlap: float = 0.5
    """Segments whose Gaussians overlap less than this (intersection over union where both views see) stay apart."""
    share: float = 0.5
    """A Gaussian belongs to a thing that holds more than this of what the thing's views see of it."""


def lift_things(
    gaussians: Gaussians, views: Sequence[LiftView], codec: Codec, settings: LiftSettings, things: InstanceSettings,
    deformation: Deformation | None = None,
) -> tuple[Lifted, Instances]:  # fmt: skip
    """Give Gaussians the codes of what views show (`langfield.field.lift_solve.lift`), and the things of the same sums.

    Args:
        gaussians: N Gaussians.
        views: at most 65536, all with the same levels.
        codec: what makes codes of vectors.
        settings: how Gaussians are lifted.
        things: how things are found.
        deformation: how the Gaussians differ at each view's time, None where nothing moves.

    Raises:
        SettingsError: a setting is out of range.
        FormatError: there is no view, or id maps do not fit their camera.
    """
    segments, n = segments_of([v.vectors for v in views]), len(gaussians)
    with kernels_only():
        sums = sum_views(gaussians, views, settings, deformation)
    return solve_things((sums, segments), codec, n, (settings, things), len(views[0].ids))


def solve_things(
    said: tuple[Sums, Segments], codec: Codec, n: int, settings: tuple[LiftSettings, InstanceSettings], levels: int = 3
) -> tuple[Lifted, Instances]:
    """Give codes and things from what views say, however it was added up.

    Args:
        said: sums of views, and the vectors of their segments.
        codec: what makes codes of vectors.
        n: number of Gaussians.
        settings: how Gaussians are lifted and things are found.
        levels: number of levels.
    """
    sums, segments = said
    lifted = lift_codes(sums, segments, codec, n, settings[0], levels)
    return lifted, find_instances(sums, segments, n, settings[1])


@one_thread()
def find_instances(
    sums: Sums, segments: Segments, n: int, settings: InstanceSettings = InstanceSettings()
) -> Instances:
    """Join segments that share Gaussians, over views and levels, and give the things they make.

    Things of a scene are numbered by size, so neither the order of views nor that of Gaussians changes more than ids.

    Args:
        sums: what the views say.
        segments: the unit vector of each segment.
        n: number of Gaussians.
        settings: how.

    Raises:
        SettingsError: a setting is out of range.
        FormatError: sums and segments do not fit.
    """
    if not (0 < settings.overlap <= 1 and 0 < settings.share < 1):
        raise SettingsError("instances need overlap above 0 and up to 1, share between 0 and 1", settings)
    seen = seen_by(sums, n)
    group = join_segments(measure_overlaps(seen), settings.overlap)
    group, rows, first = _gaussians(seen, group, settings.share)
    vectors = segments.vectors[segments.rows(torch.from_numpy(seen.column))]
    weight = np.sqrt(np.bincount(seen.segment, seen.weight, minlength=len(seen.column)))
    agreed = agree(vectors, group, seen.view, weight, len(first) - 1)
    return Instances(
        agreed.vectors.half(),
        agreed.views.int(),
        agreed.reliability,
        torch.from_numpy(first),
        torch.from_numpy(rows.astype(np.int32)),
        _members(seen, group),
    )


def _gaussians(
    seen: Seen, group: Int64[np.ndarray, " S"], share: float
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " P"], Int64[np.ndarray, " I+1"]]:
    """Give each segment's instance (-1: a thing without Gaussians), and the Gaussians of every instance."""
    many = int(group.max(initial=-1)) + 1
    view_of = seen.view
    # of one view the levels say the same thing several times: the largest counts
    place = (group[seen.segment] * (int(view_of.max(initial=0)) + 1) + view_of[seen.segment]) * seen.n + seen.gaussian
    order = np.lexsort((seen.weight, place))
    last = np.flatnonzero(np.append(np.diff(place[order]) != 0, True)) if len(order) else order
    one = order[last]
    thing, inverse = np.unique(group[seen.segment[one]] * seen.n + seen.gaussian[one], return_inverse=True)
    held = np.bincount(inverse, seen.weight[one], minlength=len(thing))
    kept = thing[held > share * _seen_total(seen, group, thing, many)]
    counts = np.bincount(kept // seen.n, minlength=many)
    starts = np.concatenate([[0], counts.cumsum()])
    smallest = np.append(kept % seen.n, seen.n)[starts[:-1]]
    order = np.lexsort((smallest, -counts))[: int((counts > 0).sum())]
    rank = np.full(many, -1)
    rank[order] = np.arange(len(order))
    rows = [kept[starts[i] : starts[i + 1]] % seen.n for i in order]
    first = np.concatenate([[0], counts[order].cumsum()]).astype(np.int64)
    return rank[group], np.concatenate([np.zeros(0, np.int64), *rows]), first


def _seen_total(
    seen: Seen, group: Int64[np.ndarray, " S"], thing: Int64[np.ndarray, " T"], many: int
) -> Float[np.ndarray, " T"]:
    """Sum, for pairs of an instance and a Gaussian, what the instance's views see of the Gaussian."""
    total = np.zeros(len(thing))
    pairs = np.unique(group * (int(seen.view.max(initial=0)) + 1) + seen.view)
    instance, view = np.divmod(pairs, int(seen.view.max(initial=0)) + 1)
    begin = np.searchsorted(thing, np.arange(many + 1) * seen.n)
    for one, v in zip(instance, view, strict=True):
        part = slice(begin[one], begin[one + 1])
        wanted = v * seen.n + thing[part] % seen.n
        at = np.searchsorted(seen.pair, wanted).clip(max=len(seen.pair) - 1)
        total[part] += np.where(seen.pair[at] == wanted, seen.total[at], 0.0)
    return total


def _members(seen: Seen, group: Int64[np.ndarray, " S"]) -> Tensor:
    table = np.stack([group, seen.view, seen.column & (2**SEGMENT_BITS - 1)], axis=1)[group >= 0]
    return torch.from_numpy(table[np.lexsort(table.T[::-1])].astype(np.int32))


@dataclass(frozen=True)
class Agreed:
    """What the views of each instance agree on."""

    vectors: Float[Tensor, "I D"]
    views: Int64[Tensor, " I"]
    reliability: Float[Tensor, " I"]


def agree(
    vectors: Float[Tensor, "S D"],
    group: Int64[np.ndarray, " S"],
    view: Int64[np.ndarray, " S"],
    weight: Float[np.ndarray, " S"],
    many: int,
) -> Agreed:
    """Average the segments of every instance, and say how much of an average is more than chance.

    Reliability is the shrinkage of a random-effects model: variance between instances by that plus the variance of an
    instance's mean, which falls with the number of its views. Of many things seen once the luckiest would always win.

    Args:
        vectors: unit vector per segment.
        group: instance of each segment, -1 for none.
        view: view of each segment; those of one view count as one vote.
        weight: of each segment.
        many: number I of instances.
    """
    own = np.flatnonzero(group >= 0)
    key, vote = np.unique(group[own] * (int(view.max(initial=0)) + 1) + view[own], return_inverse=True)
    instance = torch.from_numpy(key // (int(view.max(initial=0)) + 1))
    share = torch.from_numpy(weight[own]).to(vectors)
    in_view = torch.zeros(len(key), vectors.shape[1]).index_add_(
        0, torch.from_numpy(vote), vectors[own] * share[:, None]
    )
    strongest = torch.zeros(len(key)).scatter_reduce_(0, torch.from_numpy(vote), share, "amax")
    in_view = normalize(in_view, dim=1)
    mean = torch.zeros(many, vectors.shape[1]).index_add_(0, instance, in_view * strongest[:, None])
    mean = normalize(mean, dim=1)
    views = torch.bincount(instance, minlength=many)
    within = (in_view - mean[instance]).square().sum(dim=1).sum() / (views - 1).clamp_min(0).sum().clamp_min(1)
    chance = within / views.clamp_min(1)
    between = ((mean - mean.mean(dim=0)).square().sum(dim=1).mean() - chance.mean()).clamp_min(1e-6)
    return Agreed(mean, views, between / (between + chance))
