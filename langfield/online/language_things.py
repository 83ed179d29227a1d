"""What is known of things while mapping: which Gaussians are theirs, and what their segments agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.field.instance_build import agree
from langfield.field.instances import Instances
from langfield.online.language_looks import Look
from langfield.online.language_support import Support

VIEWS = 8
"""Keyframes, the last that show it, that decide which Gaussians are a thing's; in the finished map all do."""


class Extents:
    """The Gaussians of things, measured again only for those that changed.

    Args:
        share: a Gaussian is a thing's that holds more than this of what the thing's keyframes see of it.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._names: dict[int, Int64[np.ndarray, " P"]] = {}

    def clear(self) -> None:
        """Forget all."""
        self._names.clear()

    def touch(self, tracks: Int64[Tensor, " S"]) -> None:
        """Say that segments of these things have changed."""
        for one in torch.unique(tracks).tolist():
            self._names.pop(one, None)

    def of(
        self, looks: Sequence[Look], supports: Sequence[Support], rows: Int64[np.ndarray, " G"]
    ) -> dict[int, Int64[np.ndarray, " P"]]:
        """Give the rows of every thing that has some, rising.

        Args:
            looks: all that are held, the oldest first.
            supports: where their segments lie.
            rows: row of every name, -1 for Gaussians that are gone.
        """
        present = {int(t) for one in looks for t in torch.unique(one.tracks).tolist() if t >= 0}
        for gone in set(self._names) - present:
            del self._names[gone]
        due = np.array(sorted(present - set(self._names)), dtype=np.int64)
        if len(due):
            self._measure(due, looks, supports, len(rows))
        found = {i: np.sort(at[at >= 0]) for i, at in ((i, rows[self._names[i]]) for i in sorted(present))}
        return {i: at for i, at in found.items() if len(at)}

    def _measure(
        self, due: Int64[np.ndarray, " T"], looks: Sequence[Look], supports: Sequence[Support], names: int
    ) -> None:
        views, parts, used = np.zeros(len(due), np.int64), [], []
        for one, support in zip(reversed(looks), reversed(supports), strict=True):
            segment, thing = _largest(one.tracks.numpy(), support.weight, due)
            fits = views[thing] < VIEWS
            segment, thing = segment[fits], thing[fits]
            views[thing] += 1
            if len(segment):
                inside: Any = support.inside[segment]
                owner = np.repeat(thing, np.diff(inside.indptr))
                parts.append((owner * names + inside.indices, inside.data))
                used.append((support, thing))
        keys, held = _summed(parts)
        thing, name = np.divmod(keys, max(names, 1))
        kept = held > self.share * self._total(used, thing, name, len(due), names)
        thing, name = thing[kept], name[kept]
        begin = np.searchsorted(thing, np.arange(len(due) + 1))
        self._names |= {int(due[t]): name[begin[t] : begin[t + 1]] for t in range(len(due))}

    @staticmethod
    def _total(
        used: list[tuple[Support, np.ndarray]],
        thing: Int64[np.ndarray, " P"],
        name: Int64[np.ndarray, " P"],
        many: int,
        names: int,
    ) -> Float[np.ndarray, " P"]:
        """Give what the keyframes of a thing see of its Gaussians."""
        total = np.zeros(len(thing))
        for support, shown in used:
            shows = np.zeros(many, bool)
            shows[shown] = True
            own = np.flatnonzero(shows[thing])
            total[own] += support.dense(names)[name[own]]
        return total


def _largest(
    tracks: Int64[np.ndarray, " M"], weight: Float[np.ndarray, " M"], due: Int64[np.ndarray, " T"]
) -> tuple[Int64[np.ndarray, " S"], Int64[np.ndarray, " S"]]:
    """Give the largest segment of each thing that is due, and the place of that thing among them."""
    place = np.searchsorted(due, tracks).clip(max=len(due) - 1)
    own = np.flatnonzero(due[place] == tracks)
    own = own[np.lexsort((-weight[own], place[own]))]
    first = np.append(True, np.diff(place[own]) != 0) if len(own) else own.astype(bool)
    return own[first], place[own][first]


def _summed(
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[Int64[np.ndarray, " P"], Float[np.ndarray, " P"]]:
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0)
    keys, place = np.unique(np.concatenate([k for k, _ in parts]), return_inverse=True)
    return keys, np.bincount(place, np.concatenate([w for _, w in parts]), minlength=len(keys))


def assemble(
    looks: Sequence[Look],
    weights: Sequence[Float[np.ndarray, " M"]],
    extents: dict[int, Int64[np.ndarray, " P"]],
    dim: int,
) -> tuple[Instances, Int64[Tensor, " I"]]:
    """Make instances of things.

    Args:
        looks: all that are held.
        weights: pixels of each one's segments.
        extents: rows of every thing that has some.
        dim: width of the vectors.

    Returns:
        Instances, largest first, with views numbered as `looks` are, and the ids of the things.
    """
    order = sorted(extents, key=lambda one: (-len(extents[one]), one))
    number = {one: i for i, one in enumerate(order)}
    tracks = np.concatenate([one.tracks.numpy() for one in looks]) if looks else np.zeros(0, np.int64)
    group = np.array([number.get(int(t), -1) for t in tracks], dtype=np.int64)
    view = np.concatenate([np.full(len(one.tracks), i) for i, one in enumerate(looks)]) if looks else group
    segment = np.concatenate([np.arange(len(one.tracks)) for one in looks]) if looks else group
    vectors = torch.cat([one.vectors for one in looks]) if looks else torch.zeros(0, dim)
    pixels = np.sqrt(np.concatenate(weights)) if looks else np.zeros(0)
    agreed = agree(torch.nn.functional.normalize(vectors, dim=1), group, view, pixels, len(order))
    members = np.stack([group, view, segment], axis=1)[group >= 0]
    first = np.concatenate([[0], np.cumsum([len(extents[one]) for one in order])]).astype(np.int64)
    rows = np.concatenate([np.zeros(0, np.int64), *(extents[one] for one in order)]).astype(np.int32)
    things = Instances(
        agreed.vectors.half(), agreed.views.int(), agreed.reliability, torch.from_numpy(first), torch.from_numpy(rows),
        torch.from_numpy(members[np.lexsort(members.T[::-1])].astype(np.int32)),
    )  # fmt: skip
    return things, torch.tensor(order, dtype=torch.int64)
