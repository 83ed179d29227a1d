"""Things while mapping: a new segment joins the thing whose Gaussians it covers, and a thing keeps its id.

Likeness is that of `langfield.field.overlap`: an intersection over union in space, where both views see, summed over
the segments of a thing (average linkage). A new keyframe is held against the few that share most Gaussians with it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.field.instance_build import InstanceSettings
from langfield.field.instances import Instances
from langfield.online.language_looks import Look
from langfield.online.language_support import Against, Support, most_shared, support_of
from langfield.online.language_things import Extents, assemble

NEIGHBOURS = 6
"""Keyframes that a new one's segments are held against."""


class Tracks:
    """Which thing each segment is, and what is known of things.

    Args:
        settings: how alike segments of one thing are.
    """

    def __init__(self, settings: InstanceSettings) -> None:
        self.settings = settings
        self.next_id = 0
        """Ids below have been given; none is given twice."""
        self._supports: dict[int, Support] = {}
        self._extents = Extents(settings.share)

    def forget_supports(self) -> None:
        """Say that Gaussians have other names, or that looks were loaded."""
        self._supports.clear()
        self._extents.clear()

    def renew(self, one: Look) -> None:
        """Say that a keyframe sees something else now; its segments stay what they are."""
        self._supports.pop(one.id, None)
        self._extents.touch(one.tracks)

    def leave(self, one: Look) -> None:
        """Say that a keyframe goes."""
        self.renew(one)

    def join(self, looks: dict[int, Look], new: int, names: int) -> dict[int, Look]:
        """Give the segments of a new keyframe their things, and join things that it shows to be one.

        Args:
            looks: all that are held.
            new: the new one.
            names: number of names given to Gaussians so far.

        Returns:
            The looks with their tracks; of things that are joined the older id stays.
        """
        supports = {i: self._support(one) for i, one in looks.items()}
        own = supports.pop(new)
        against = Against(own, names)
        near = most_shared(own, supports, names, NEIGHBOURS)
        like, ids = self._likeness(against, [(supports[i], looks[i].tracks) for i in near])
        tracks, joined = self._choose(like, ids, own)
        self._complete(tracks, against, own)
        looks = looks | {new: replace(looks[new], tracks=torch.from_numpy(tracks))}
        looks = {i: self._renamed(one, joined) for i, one in looks.items()} if joined else looks
        self._extents.touch(looks[new].tracks)
        return looks

    def _support(self, one: Look) -> Support:
        if one.id not in self._supports:
            self._supports[one.id] = support_of(one)
        return self._supports[one.id]

    def _likeness(
        self, against: Against, near: list[tuple[Support, Tensor]]
    ) -> tuple[Float[np.ndarray, "M T"], Int64[np.ndarray, " T"]]:
        """Give how alike each new segment and each thing of the neighbours are, and those things' ids."""
        many = against.member.shape[0]
        if not near:
            return np.zeros((many, 0)), np.zeros(0, np.int64)
        pairs = [against.of(support) for support, _ in near]
        tracks = np.concatenate([t.numpy() for _, t in near])
        order = tracks.argsort(kind="stable")
        ids, first = np.unique(tracks[order], return_index=True)
        shared, union = (
            np.add.reduceat(np.concatenate(part, axis=1)[:, order], first, axis=1) for part in zip(*pairs, strict=True)
        )
        like = np.where(union > 0, shared / np.maximum(union, 1e-12), 0.0)
        like[:, ids < 0] = 0
        return like, ids

    def _choose(
        self, like: Float[np.ndarray, "M T"], ids: Int64[np.ndarray, " T"], own: Support
    ) -> tuple[Int64[np.ndarray, " M"], dict[int, int]]:
        """Give each segment the thing it is most like (-1: none), and which things are one with which older one."""
        tracks, into = np.full(len(like), -1), {}
        for segment in np.flatnonzero(own.weight > 0):
            fits = ids[like[segment] >= self.settings.overlap] if len(ids) else ids
            if len(fits):
                tracks[segment] = ids[int(like[segment].argmax())]
                oldest = min(_last(into, int(one)) for one in fits)
                into |= {_last(into, int(one)): oldest for one in fits if _last(into, int(one)) != oldest}
        joined = {one: _last(into, one) for one in into}
        for one, older in joined.items():
            tracks[tracks == one] = older
        return tracks, joined

    def _complete(self, tracks: Int64[np.ndarray, " M"], against: Against, own: Support) -> None:
        """Give segments without a thing that of a like one of the same keyframe (another level), or a new one."""
        shared, union = against.of(own)
        like = np.where(union > 0, shared / np.maximum(union, 1e-12), 0.0)
        for segment in np.flatnonzero((tracks < 0) & (own.weight > 0)):
            best = int(np.where(tracks >= 0, like[segment], -1.0).argmax())
            if tracks[best] >= 0 and like[segment, best] >= self.settings.overlap:
                tracks[segment] = tracks[best]
            else:
                tracks[segment], self.next_id = self.next_id, self.next_id + 1

    def _renamed(self, one: Look, joined: dict[int, int]) -> Look:
        tracks = one.tracks.numpy()
        touched = np.isin(tracks, list(joined))
        if not touched.any():
            return one
        self._extents.touch(one.tracks[torch.from_numpy(touched)])
        new = torch.from_numpy(np.array([joined.get(int(t), int(t)) for t in tracks], dtype=np.int64))
        self._extents.touch(new[torch.from_numpy(touched)])
        return replace(one, tracks=new)

    def things(self, looks: list[Look], rows: Int64[Tensor, " G"], dim: int) -> tuple[Instances, Int64[Tensor, " I"]]:
        """Give the things of the map as it is now, largest first, and their ids.

        Args:
            looks: all that are held.
            rows: row of every Gaussian's name, -1 for those that are gone.
            dim: width of the vectors.
        """
        supports = [self._support(one) for one in looks]
        extents = self._extents.of(looks, supports, rows.numpy())
        return assemble(looks, [s.weight for s in supports], extents, dim)

    def name(self, things: Instances, looks: list[Look]) -> Int64[Tensor, " I"]:
        """Give things that were found anew the ids of those that most of their segments were in.

        Each id goes to the thing with most such segments, the larger of equals; things left over get new ids.

        Args:
            things: with views numbered as `looks` are.
            looks: all that are held.
        """
        members = things.members.numpy()
        owner = np.array([int(looks[view].tracks[segment]) for _, view, segment in members], dtype=np.int64)
        pairs, votes = np.unique(np.stack([members[:, 0], owner], axis=1)[owner >= 0], axis=0, return_counts=True)
        ids = np.full(len(things), -1)
        for k in np.lexsort((pairs[:, 1], pairs[:, 0], -votes)):
            thing, track = pairs[k]
            if ids[thing] < 0 and track not in ids:
                ids[thing] = track
        fresh = np.flatnonzero(ids < 0)
        ids[fresh] = self.next_id + np.arange(len(fresh))
        return torch.from_numpy(ids)


def _last(into: dict[int, int], one: int) -> int:
    while one in into:
        one = into[one]
    return one
