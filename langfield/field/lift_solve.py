"""From what views say to a vector per Gaussian and level: which weights count, who agrees, how sure it is.

Vectors are given batch by batch: a million Gaussians times 512 numbers times three levels are never there at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int16, Int64, Shaped
from torch import Tensor
from torch.nn.functional import embedding_bag, normalize

from langfield.capture.types import Camera
from langfield.codec import Codebook
from langfield.codec.types import Codec
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import Deformation, deform
from langfield.field.lift import COLUMN_BITS, GAUSSIAN_BITS, MAX_GAUSSIANS, SEGMENT_BITS, Sums, look, merge
from langfield.progress import track
from langfield.raster import Gate, Gaussians
from langfield.raster.threads import kernels_only

PAIRS_AT_ONCE = 2**16
NO_VIEW = -(2**31)
ROWS_AT_ONCE = 2**14


@dataclass(frozen=True)
class LiftSettings:
    """How sums become vectors."""

    coverage: float = 0.9
    """A Gaussian is seen at a pixel while nearer ones took less than this share of the light (VALA)."""
    floor: float = 0.01
    """Smallest blend weight that counts as seen (VALA)."""
    thin_px: float = 1.0
    """A Gaussian seen with less weight than this, in pixels of all views, takes the weights it has unseen instead."""
    median_steps: int = 0
    """Turns of a geometric median, five are enough, that lets views outvote a wrong one (VALA); 0 takes the mean."""
    # On fr3_office and tabletop five turns changed no score beyond noise, in 2D or 3D, and cost a third of the stage.
    nearest: float = 0.2
    """Distances between unit vectors below this count as this: nearer votes are no better ones."""
    subspace: int = 64
    """Votes are compared along this many principal axes of the scene's embeddings."""


@dataclass(frozen=True)
class LiftView:
    """What one view brings."""

    camera: Camera
    ids: Int16[Tensor, "L H W"]
    """Row into `vectors` per level and pixel, -1 where there is no mask."""
    vectors: Float[Tensor, "M D"]


@dataclass(frozen=True)
class Segments:
    """The unit vector of every column."""

    first: Int64[Tensor, " V"]
    """Row of each view's first segment; -2^31 for views that are not there."""
    vectors: Float[Tensor, "S D"]
    axes: Float[Tensor, "d D"] | None = None
    """Along which votes are compared, where `vectors` are only some of the scene's; None: found from `vectors`."""

    def rows(self, column: Int64[Tensor, " M"]) -> Int64[Tensor, " M"]:
        """Give the row of `vectors` that each column names.

        Raises:
            FormatError: a view or segment has no row.
        """
        view = column >> SEGMENT_BITS
        if len(view) and int(view.max()) >= len(self.first):
            raise FormatError(f"sums hold view {int(view.max())}, which has no table", f"{len(self.first)} views")
        rows = self.first[view] + (column & (2**SEGMENT_BITS - 1))
        if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self.vectors)):
            raise FormatError(
                "sums hold segments that no table has", f"vectors {list(self.vectors.shape)}", "lift again"
            )
        return rows


@dataclass(frozen=True)
class Lifted:
    """A code and its reliability per level and Gaussian."""

    codes: Shaped[Tensor, "L N d"]
    """Zeros where no view has shown a Gaussian."""
    reliability: Float[Tensor, "L N"]
    """Length of the mean of its unit vectors (1: all agree) times the number of views that share in it (Kish 1965)."""


@dataclass(frozen=True)
class _Votes:
    """Entries of the sums grouped by row, a row being a level and a Gaussian."""

    row: Int64[Tensor, " G"]
    start: Int64[Tensor, " G"]
    """First vote of each row."""
    of: Int64[Tensor, " M"]
    """Position in `row` of each vote."""
    segment: Int64[Tensor, " M"]
    weight: Float[Tensor, " M"]

    def sum(self, values: Float[Tensor, " M"]) -> Float[Tensor, " G"]:
        return values.new_zeros(len(self.row)).index_add_(0, self.of, values)

    def blend(self, weight: Float[Tensor, " M"], table: Float[Tensor, "S d"]) -> Float[Tensor, "G d"]:
        return embedding_bag(self.segment, table, self.start, per_sample_weights=weight.to(table), mode="sum")


def segments_of(vectors: Sequence[Float[Tensor, "M D"]] | Mapping[int, Float[Tensor, "M D"]]) -> Segments:
    """Put the tables of all views into one, by the number of the view."""
    tables = dict(vectors) if isinstance(vectors, Mapping) else dict(enumerate(vectors))
    if not tables:
        raise FormatError("there is no view to lift from", remedy="name at least one")
    first = torch.full((max(tables) + 1,), NO_VIEW, dtype=torch.int64)
    at = 0
    for view, table in tables.items():
        first[view] = at
        at += len(table)
    return Segments(first, normalize(torch.cat([t.float() for t in tables.values()]), dim=-1))


def lift(
    gaussians: Gaussians, views: Sequence[LiftView], codec: Codec, settings: LiftSettings,
    deformation: Deformation | None = None,
) -> Lifted:  # fmt: skip
    """Give Gaussians the codes of what views show: one pass over the views, nothing trained.

    Args:
        gaussians: N Gaussians.
        views: at most 65536, all with the same levels.
        codec: what makes codes of vectors.
        settings: how.
        deformation: how the Gaussians differ at each view's time, None where nothing moves.

    Raises:
        SettingsError: a setting is out of range.
        FormatError: there is no view, or id maps do not fit their camera.
    """
    check_lift(settings)
    segments = segments_of([v.vectors for v in views])
    with kernels_only():
        sums = sum_views(gaussians, views, settings, deformation)
    return lift_codes(sums, segments, codec, len(gaussians), settings, len(views[0].ids))


@torch.no_grad()
def sum_views(
    gaussians: Gaussians, views: Iterable[LiftView], settings: LiftSettings, deformation: Deformation | None = None
) -> Sums:
    """Give what all views say together, numbered in their order; each sees the Gaussians as they are at its time."""
    gate = Gate(settings.coverage, settings.floor)
    sums = []
    for number, view in enumerate(track(list(views), "lift")):
        then = deform(gaussians, deformation, view.camera.time_s)
        sums.append(look(then, view.camera, view.ids, number, gate))
    return merge(sums)


@torch.no_grad()
@kernels_only()  # many small steps: seven times faster than on two threads that wait for each other
def lift_codes(sums: Sums, segments: Segments, codec: Codec, n: int, settings: LiftSettings, levels: int = 3) -> Lifted:
    """Give every Gaussian the code of what its views agree on, level by level.

    Args:
        sums: of any views.
        segments: vectors of those views' segments.
        codec: what makes codes of vectors.
        n: number of Gaussians.
        settings: how.
        levels: number of levels.
    """
    check_lift(settings)
    if isinstance(codec, Codebook):  # its codes may be summed, and the sums shortened again, without forming vectors
        table, encode = codec.spread(codec.encode(segments.vectors)), codec.compress
    else:
        table, encode = segments.vectors, codec.encode
    blank = codec.encode(torch.zeros(1, codec.dim))
    codes = blank.new_zeros(levels * n, blank.shape[1])
    codes = codes.half() if codes.is_floating_point() else codes
    reliability = torch.zeros(levels * n)
    for row, means, trust in lift_rows(sums, segments, table, settings):
        flat = (row >> GAUSSIAN_BITS) * n + (row & (MAX_GAUSSIANS - 1))
        codes[flat] = encode(means).to(codes.dtype)
        reliability[flat] = trust
    return Lifted(codes.unflatten(0, (levels, n)), reliability.unflatten(0, (levels, n)))


def lift_rows(
    sums: Sums, segments: Segments, table: Float[Tensor, "S T"], settings: LiftSettings
) -> Iterator[tuple[Int64[Tensor, " B"], Float[Tensor, "B T"], Float[Tensor, " B"]]]:
    """Give, batch by batch, rows (level times 2^29 plus Gaussian), the means of their votes, and their reliability.

    Args:
        sums: of any views.
        segments: vectors of those views' segments, by which votes are compared.
        table: what a vote for each segment stands for: its vector, or its code where codes can be summed.
        settings: how.
    """
    axes = principal_axes(segments.vectors, settings.subspace) if segments.axes is None else segments.axes
    small = segments.vectors @ axes.T
    for part in _batches(sums):
        votes = _gated(part, segments, settings)
        weight = _agreed(votes, small, settings)
        weight = weight / votes.sum(weight).clamp_min(1e-30)[votes.of]
        agreement = votes.blend(weight, small).norm(dim=1)
        yield votes.row, votes.blend(weight, table), agreement * _effective_views(part, votes)


def _batches(sums: Sums) -> Iterator[Sums]:
    """Cut sums between rows into batches of bounded size."""
    row = sums.key >> COLUMN_BITS
    at = 0
    while at < len(row):
        end = min(at + PAIRS_AT_ONCE, len(row))
        if end < len(row):  # back to where the row that is cut begins, or on to where it ends
            cut = int(torch.searchsorted(row, row[end]))
            end = cut if cut > at else int(torch.searchsorted(row, row[end], right=True))
        yield Sums(sums.key[at:end], sums.steps[at:end])
        at = end


def _gated(sums: Sums, segments: Segments, settings: LiftSettings) -> _Votes:
    row, of, many = torch.unique_consecutive(sums.key >> COLUMN_BITS, return_inverse=True, return_counts=True)
    gated, every = sums.weight.clamp_min(0).unbind(dim=1)
    support = torch.zeros(len(row), dtype=torch.float64).index_add_(0, of, gated)
    weight = torch.where((support < settings.thin_px)[of], every, gated)
    return _Votes(row, many.cumsum(0) - many, of, segments.rows(sums.column), weight)


def _agreed(votes: _Votes, small: Float[Tensor, "S d"], settings: LiftSettings) -> Float[Tensor, " M"]:
    """Weigh votes by how near they are to the geometric median of their row (Weiszfeld 1937; VALA 2509.05515)."""
    weight = votes.weight
    for _ in range(settings.median_steps):
        middle = normalize(votes.blend(weight, small), dim=1)
        cosine = torch.cat([
            (small[s] * middle[o]).sum(dim=1)
            for s, o in zip(votes.segment.split(ROWS_AT_ONCE), votes.of.split(ROWS_AT_ONCE), strict=True)
        ])  # fmt: skip
        distance = (2 - 2 * cosine).clamp_min(0).sqrt().clamp_min(settings.nearest)
        weight = votes.weight / distance.double()
    return weight


def _effective_views(sums: Sums, votes: _Votes) -> Float[Tensor, " G"]:
    """Give (sum of a row's weight in each view)^2 / sum of their squares."""
    seen = torch.unique_consecutive(sums.key >> SEGMENT_BITS, return_inverse=True)[1]
    per_view = torch.zeros(int(seen.max()) + 1, dtype=torch.float64).index_add_(0, seen, votes.weight)
    row_of_view = torch.zeros(len(per_view), dtype=torch.int64).index_copy_(0, seen, votes.of)
    squares = torch.zeros(len(votes.row), dtype=torch.float64).index_add_(0, row_of_view, per_view.square())
    return (votes.sum(votes.weight).square() / squares.clamp_min(1e-30)).float()


def principal_axes(vectors: Float[Tensor, "S D"], most: int) -> Float[Tensor, "d D"]:
    """Give up to `most` orthonormal axes along which vectors are longest."""
    wide = vectors.double()
    return axes_of(wide.T @ wide, most)


def axes_of(products: Float[Tensor, "D D"], most: int) -> Float[Tensor, "d D"]:
    """Give `principal_axes` of vectors from the sum of their outer products, float64."""
    return torch.linalg.eigh(products).eigenvectors.flip(1).T[:most].float()


def check_lift(settings: LiftSettings) -> None:
    """Refuse settings out of range.

    Raises:
        SettingsError: one is.
    """
    within = 0 < settings.coverage <= 1 and 0 <= settings.floor <= 1 and settings.thin_px >= 0
    if not within or settings.median_steps < 0 or settings.nearest <= 0 or settings.subspace < 1:
        raise SettingsError(
            "lifting needs coverage above 0 and up to 1, floor 0 to 1, thin_px >= 0, median_steps >= 0, nearest > 0 "
            "and subspace >= 1",
            settings,
        )
