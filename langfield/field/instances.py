"""Things of a scene: clusters of segments, over views and levels, that share Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float16, Float32, Int32, Int64
from torch import Tensor

from langfield.errors import FormatError

REMEDY = "run the language stage again"
LEAST_VIEWS = 3
"""Where some things are seen so often, one seen less is often a piece of a bad mask and no thing."""


@dataclass(frozen=True)
class Instances:
    """I things, largest first; they may lie inside each other (a handle, a mug, a tray), so a Gaussian has several."""

    vectors: Float16[Tensor, "I D"]
    """What its segments agree on, unit vectors in the space of the embeddings."""
    views: Int32[Tensor, " I"]
    """How many views show it."""
    reliability: Float32[Tensor, " I"]
    """How far the segments agree with `vectors` (1: all do) times how many views share in it."""
    first: Int64[Tensor, " I+1"]
    """Where its Gaussians begin in `rows`; the last number is the length of `rows`."""
    rows: Int32[Tensor, " P"]
    """Rows into the field's Gaussians, rising within an instance."""
    members: Int32[Tensor, "S 3"]
    """Instance, number of the view, segment (a row of that view's table): what it was made of, in rising order."""
    ids: Int64[Tensor, " I"] | None = None
    """A name that each thing has kept for as long as it has been mapped, no two the same; None where none was given."""

    def __len__(self) -> int:
        return len(self.vectors)

    def gaussians(self, instance: int) -> Int32[Tensor, " G"]:
        """Give the rows of an instance's Gaussians."""
        return self.rows[int(self.first[instance]) : int(self.first[instance + 1])]

    @property
    def sizes(self) -> Int64[Tensor, " I"]:
        """Number of Gaussians of each instance."""
        return self.first.diff()

    @property
    def owner(self) -> Int64[Tensor, " P"]:
        """Instance of each of `rows`."""
        return torch.repeat_interleave(torch.arange(len(self)), self.sizes)

    def of_gaussian(self, row: int) -> list[int]:
        """Give the instances that hold a Gaussian, as `in_order` has them."""
        at = (self.rows == row).nonzero()[:, 0]
        return self.in_order(torch.searchsorted(self.first, at, right=True) - 1)

    def in_order(self, found: Int64[Tensor, " n"]) -> list[int]:
        """Give instances in the order in which clicks choose them: those seen often first, then by size, rising."""
        found = found[torch.argsort(self.sizes[found], stable=True)]
        return found[torch.argsort(~self.often[found], stable=True)].tolist()

    @property
    def often(self) -> Bool[Tensor, " I"]:
        """Which are seen by enough views to be a thing, as far as views go."""
        return self.views >= min(LEAST_VIEWS, int(self.views.max())) if len(self) else self.views > 0

    def score(self, queries: Float[Tensor, "Q D"]) -> Float[Tensor, "I Q"]:
        """Give the cosine of every instance with every unit query."""
        return self.vectors.float() @ queries.float().T

    def of_kept(self, kept: Bool[Tensor, " N"]) -> Instances:
        """Give the things of a part of the Gaussians; those that lose all of theirs go.

        Args:
            kept: which Gaussians stay; rows of the result count these only.
        """
        stays = kept[self.rows.long()]
        owner, rows = self.owner[stays], (kept.cumsum(0) - 1)[self.rows[stays].long()]
        sizes, order = torch.bincount(owner, minlength=len(self)), self.order_of_kept(kept)
        number = torch.full((len(self),), -1).index_copy(0, order, torch.arange(len(order)))
        members = torch.cat([number[self.members[:, :1].long()].int(), self.members[:, 1:]], dim=1)
        members = members[members[:, 0] >= 0]
        return Instances(
            self.vectors[order],
            self.views[order],
            self.reliability[order],
            torch.cat([sizes.new_zeros(1), sizes[order].cumsum(0)]),
            rows[torch.argsort(number[owner], stable=True)].int(),
            members[torch.argsort(members[:, 0], stable=True)],
            None if self.ids is None else self.ids[order],
        )

    def order_of_kept(self, kept: Bool[Tensor, " N"]) -> Int64[Tensor, " J"]:
        """Give the numbers of the things that `of_kept` leaves, by their new ones: the largest first."""
        sizes = torch.bincount(self.owner[kept[self.rows.long()]], minlength=len(self))
        return torch.argsort(sizes, descending=True, stable=True)[: int((sizes > 0).sum())]

    def tensors(self) -> dict[str, Tensor]:
        """Give the state for `artefacts.write_tensors`."""
        return {name: found for name in KINDS if (found := getattr(self, name)) is not None}


KINDS = {
    "vectors": (torch.float16, 2),
    "views": (torch.int32, 1),
    "reliability": (torch.float32, 1),
    "first": (torch.int64, 1),
    "rows": (torch.int32, 1),
    "members": (torch.int32, 2),
    "ids": (torch.int64, 1),
}
OPTIONAL = {"ids"}


def load_instances(tensors: Mapping[str, Tensor], n: int, dim: int) -> Instances:
    """Make instances from `Instances.tensors`, distrusting them.

    Args:
        tensors: as read.
        n: number of the field's Gaussians.
        dim: width of the field's embeddings.

    Raises:
        FormatError: tensors are missing or of another kind, or numbers point at what is not there.
    """
    if set(tensors) | OPTIONAL != set(KINDS):
        odd = ", ".join(sorted(set(tensors) ^ set(KINDS)))
        raise FormatError("instances have missing or unknown tensors", odd[:80], REMEDY)
    for name, tensor in tensors.items():
        dtype, axes = KINDS[name]
        if tensor.dtype != dtype or tensor.ndim != axes:
            found = f"{name}: {tuple(tensor.shape)}, {tensor.dtype}"
            raise FormatError(f"an instance tensor is not {dtype} of {axes} axes", found, REMEDY)
    loaded = Instances(**tensors)
    problem = _shape_problem(loaded, dim) or _value_problem(loaded, n)
    if problem:
        raise FormatError(f"instances are inconsistent: {problem}", remedy=REMEDY)
    return loaded


def _shape_problem(found: Instances, dim: int) -> str | None:
    count = len(found)
    if found.vectors.shape[1] != dim:
        return f"vectors of width {found.vectors.shape[1]}, the field's embeddings have {dim}"
    if len(found.views) != count or len(found.reliability) != count or len(found.first) != count + 1:
        return f"{count} vectors, {len(found.views)} views, {len(found.first)} beginnings"
    if found.ids is not None and len(found.ids) != count:
        return f"{count} vectors, {len(found.ids)} ids"
    return None if found.members.shape[1] == 3 else f"members have {found.members.shape[1]} columns, not 3"


def _value_problem(found: Instances, n: int) -> str | None:
    if not torch.isfinite(found.vectors).all() or not torch.isfinite(found.reliability).all():
        return "a number is not finite"
    if found.first[0] != 0 or found.first[-1] != len(found.rows) or bool((found.first.diff() < 0).any()):
        return "beginnings do not rise from 0 to the number of rows"
    if len(found.rows) and (int(found.rows.min()) < 0 or int(found.rows.max()) >= n):
        return f"a row lies outside the {n} Gaussians"
    rising = (found.owner[1:] != found.owner[:-1]) | (found.rows[1:] > found.rows[:-1])
    if not bool(rising.all()):
        return "rows of an instance do not rise"
    members = found.members
    if len(members) and (int(members.min()) < 0 or int(members[:, 0].max()) >= len(found)):
        return f"a member names none of the {len(found)} instances"
    if found.ids is not None and len(found.ids.unique()) != len(found.ids):
        return "two instances have one id"
    return None
