"""Our online language map: exact sums of what every keyframe says, codes of them at any moment, things with stable ids.

Sums of each keyframe are kept apart, so that one can be renewed or taken back without a trace; the whole map is their
sum. What is asked for while mapping is solved over a codebook that grows, for changed rows only. The finished map is
made by the functions of the offline stage from the same sums, and is therefore the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.codec import fit_codebook
from langfield.codec.growing import GrowingCodebook
from langfield.codec.words import MAX_ATOMS
from langfield.errors import FormatError, SettingsError
from langfield.field.instance_build import find_instances
from langfield.field.instances import Instances
from langfield.field.lift import MAX_VIEWS, Sums, look, merge, rename, renumber
from langfield.field.lift_solve import check_lift, lift_codes, segments_of
from langfield.online.language import LanguageParts
from langfield.online.language_live import LiveCodes
from langfield.online.language_looks import Look, checked_ids, geometry_hash, place_hash
from langfield.online.language_novelty import least_novel
from langfield.online.language_rows import RowNames
from langfield.online.language_settings import OnlineLanguageSettings, check_online_language
from langfield.online.language_state import load_looks, save_looks
from langfield.online.language_tracks import Tracks
from langfield.online.types import Caps, Keyframe, MapChange
from langfield.raster import Gate, Gaussians
from langfield.raster.threads import kernels_only
from langfield.segment.types import Segments

LEVELS = 3


class LiftedLanguage:
    """See `langfield.online.language.LanguageMap`.

    Args:
        settings: how.
        caps: how many keyframes, Gaussians and atoms there may be; no more than 1024 atoms ever are.

    Raises:
        SettingsError: a setting is out of range.
    """

    def __init__(self, settings: OnlineLanguageSettings | None = None, caps: Caps | None = None) -> None:
        settings, caps = settings or OnlineLanguageSettings(), caps or Caps()
        check_lift(settings.lift)
        check_online_language(settings)
        if caps.max_keyframes < 1 or caps.max_gaussians < 1:
            raise SettingsError("a language map needs room for a keyframe and a Gaussian", caps)
        self.settings, self.caps = settings, caps
        terms = settings.codebook.terms
        self.names = RowNames()
        self.looks: dict[int, Look] = {}
        self.book = GrowingCodebook(min(caps.max_atoms, MAX_ATOMS), terms, settings.explained)
        self.live = LiveCodes(LEVELS, terms)
        self.tracks = Tracks(settings.instances)
        self._taken, self._last_id = 0, -1

    @property
    def held(self) -> tuple[int, ...]:
        """Ids of the keyframes that the map holds, rising."""
        return tuple(self.looks)

    @property
    def bytes(self) -> int:
        """Memory of all that keyframes said."""
        return sum(one.bytes for one in self.looks.values())

    def reindex(self, change: MapChange) -> None:
        """Follow the rows of the Gaussians; to be called for every change, in order.

        Raises:
            FormatError: the change is of another map.
            SettingsError: there would be more Gaussians than the caps allow.
        """
        if len(change.kept) + change.added > self.caps.max_gaussians:
            found = f"{len(change.kept) + change.added} Gaussians, at most {self.caps.max_gaussians}"
            raise SettingsError("the map grows beyond its cap", found, "prune it first, or raise the cap")
        self.names.follow(change)
        self.live.follow(change)
        if self.names.crowded:
            self._rename()

    def _rename(self) -> None:
        new = self.names.give_anew()
        self.looks = {i: replace(one, sums=rename(one.sums, new)) for i, one in self.looks.items()}
        self.tracks.forget_supports()

    @kernels_only()
    def add(
        self, keyframe: Keyframe, gaussians: Gaussians, segments: Segments, vectors: Float[Tensor, "M D"]
    ) -> tuple[int, ...]:
        """Take in a new keyframe, and give the ids of those that had to go for it; see `LanguageMap.add`.

        Raises:
            SettingsError: the id does not rise or is too large.
            FormatError: segments and vectors do not fit, or the map is not the one `reindex` told of.
        """
        if not self._last_id < keyframe.id < MAX_VIEWS:
            found = f"id {keyframe.id} after {self._last_id}"
            raise SettingsError(f"keyframes need ids that rise, below {MAX_VIEWS}", found, "start another map")
        self._check_rows(gaussians)
        ids, vectors = checked_ids(segments, vectors), vectors.detach().float().cpu()
        learnt = self.book.take_in(vectors)
        self._encode_again(learnt.changed)
        blank = torch.full((len(vectors),), -1)
        seen = Look(keyframe.id, ids, vectors, learnt.codes, blank, Sums(*_nothing()), "", 0)
        self._last_id = keyframe.id
        self._put(self._looked(seen, keyframe, gaussians))
        self.looks = self.tracks.join(self.looks, keyframe.id, self.names.given)
        gone = []
        while len(self.looks) > self.caps.max_keyframes:
            gone.append(least_novel(list(self.looks.values()), self.names.rows()))
            self.drop(gone[-1])
        return tuple(gone)

    def renew(self, keyframe: Keyframe, gaussians: Gaussians) -> None:
        """Put what a held keyframe says now in place of what it said.

        Raises:
            FormatError: the keyframe is not held, or the map is not the one `reindex` told of.
        """
        self._check_rows(gaussians)
        with kernels_only():
            self._put(self._looked(self._held(keyframe.id), keyframe, gaussians))

    def drop(self, keyframe_id: int) -> None:
        """Take back all that a keyframe said.

        Raises:
            FormatError: it is not held.
        """
        gone = self._held(keyframe_id)
        self.live.mark(gone.names(), self.names.rows())
        self.book.release(gone.codes)
        self.tracks.leave(gone)
        del self.looks[keyframe_id]

    def stale(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> list[int]:
        """Name the held keyframes that spoke of another map or from another pose; those that moved first, then by age.

        Args:
            gaussians: the map as it is now.
            keyframes: with their present poses; those that the map does not hold are passed over.
        """
        geometry = geometry_hash(gaussians)
        due = [k.id for k in keyframes if k.id in self.looks and self._is_stale(k, geometry)]
        return sorted(due, key=lambda one: (self.looks[one].age, one))

    def freshen(self, gaussians: Gaussians, keyframes: Sequence[Keyframe], budget_s: float) -> list[int]:
        """Renew stale keyframes, the oldest look first, until the time is used up; a keyframe begun is finished."""
        until, by_id, done = time.monotonic() + budget_s, {k.id: k for k in keyframes}, []
        for one in self.stale(gaussians, keyframes):
            if time.monotonic() >= until:
                break
            self.renew(by_id[one], gaussians)
            done.append(one)
        return done

    def parts(self, n: int) -> LanguageParts:
        """Give what the map says now of its n Gaussians; only rows that changed since are worked on.

        Raises:
            FormatError: n is not the number of rows the map knows of, or no keyframe has been added.
        """
        if n != len(self.names):
            raise FormatError(
                f"the language map knows {len(self.names)} Gaussians, not {n}", None, "call reindex first"
            )
        codec = self.book.codec()
        self.solve()
        with kernels_only():
            looks = list(self.looks.values())
            things, ids = self.tracks.things(looks, self.names.rows(), codec.dim)
        codes, reliability = self.live.codes.clone(), self.live.reliability.clone()
        return LanguageParts(codes, codec, reliability, things, ids, self.held)

    def solve(self) -> int:
        """Bring the codes of rows that changed up to date, and give how many there were; `parts` does so too."""
        with kernels_only():
            return self.live.solve(list(self.looks.values()), self.names, self.book, self.settings.lift)

    def finish(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> LanguageParts:
        """Renew what is stale and give the final map: what the offline stage gives for the same views and codebook.

        Args:
            gaussians: the final map.
            keyframes: all that are held, with their final poses.

        Raises:
            FormatError: a held keyframe is missing, or none is held.
        """
        missing = set(self.looks) - {k.id for k in keyframes}
        if missing or not self.looks:
            raise FormatError("finishing a language map takes all its keyframes", f"missing {sorted(missing)[:5]}")
        self.freshen(gaussians, keyframes, float("inf"))
        looks, n = list(self.looks.values()), len(gaussians)
        codec = fit_codebook(torch.cat([one.vectors for one in looks]), self.settings.codebook)
        segments, sums = segments_of([one.vectors for one in looks]), self.sums()
        lifted = lift_codes(sums, segments, codec, n, self.settings.lift, len(looks[0].ids))
        things = find_instances(sums, segments, n, self.settings.instances)
        return LanguageParts(lifted.codes, codec, lifted.reliability, things, self._ids_of(things), self.held)

    def sums(self) -> Sums:
        """Give what all keyframes say together: Gaussians by row, views numbered in the order of `held`."""
        rows = self.names.rows()
        looks = enumerate(self.looks.values())
        return merge([renumber(rename(one.sums, rows), one.id, view) for view, one in looks])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a later process needs; codes are solved again from it."""
        tensors, about = save_looks(list(self.looks.values()))
        book, book_about = self.book.state()
        tensors |= {f"book.{name}": tensor for name, tensor in book.items()} | {"names": self.names.of_row}
        counts = {"taken": self._taken, "last_id": self._last_id, "given": self.names.given}
        return tensors, {"looks": about, "book": book_about, "next_track": self.tracks.next_id, **counts}

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from `state` of a map of the same settings.

        Raises:
            FormatError: tensors are missing or do not fit each other.
        """
        parts = {name.removeprefix("book."): t for name, t in tensors.items() if name.startswith("book.")}
        self.book.load_state(parts, about.get("book") or {})
        counts = [about.get(name) for name in ("taken", "last_id", "given", "next_track")]
        if not all(isinstance(value, int) for value in counts) or "names" not in tensors:
            raise FormatError("saved language map lacks its counts", None, "start afresh")
        self._taken, self._last_id, given, self.tracks.next_id = (int(value or 0) for value in counts)
        self.names.restore(tensors["names"], given)
        self.looks = {one.id: one for one in load_looks(tensors, about.get("looks"), given)}
        self.tracks.forget_supports()
        codes = [one.codes for one in self.looks.values()]
        if codes:
            self.book.recount(torch.cat(codes))
        self.live = LiveCodes(LEVELS, self.settings.codebook.terms)
        self.live.follow(MapChange(torch.zeros(0, dtype=torch.int64), len(self.names)))
        self.live.dirty[:] = True

    def _held(self, keyframe_id: int) -> Look:
        if keyframe_id not in self.looks:
            raise FormatError(f"keyframe {keyframe_id} is not in the language map", None, "add it first")
        return self.looks[keyframe_id]

    def _check_rows(self, gaussians: Gaussians) -> None:
        if len(gaussians) != len(self.names):
            found = f"{len(gaussians)} Gaussians, {len(self.names)} known"
            raise FormatError("the map has other rows than the language map was told of", found, "call reindex first")

    def _is_stale(self, keyframe: Keyframe, geometry: bytes) -> bool:
        one = self.looks[keyframe.id]
        height, width = one.ids.shape[1:]
        return place_hash(geometry, keyframe.camera.resized(width, height)) != one.seen_from

    def _looked(self, one: Look, keyframe: Keyframe, gaussians: Gaussians) -> Look:
        height, width = one.ids.shape[1:]
        camera = keyframe.camera.resized(width, height)
        gate = Gate(self.settings.lift.coverage, self.settings.lift.floor)
        sums = rename(look(gaussians, camera, one.ids, one.id, gate), self.names.of_row)
        self._taken += 1
        return replace(one, sums=sums, seen_from=place_hash(geometry_hash(gaussians), camera), age=self._taken)

    def _put(self, one: Look) -> None:
        rows = self.names.rows()
        if one.id in self.looks:
            self.live.mark(self.looks[one.id].names(), rows)
        self.live.mark(one.names(), rows)
        self.looks[one.id] = one
        self.tracks.renew(one)

    def _encode_again(self, atoms: Int64[Tensor, " C"]) -> None:
        """Make codes again that use atoms which have changed."""
        if not len(atoms):
            return
        rows = self.names.rows()
        for i, one in self.looks.items():
            touched = self.book.using(one.codes, atoms)
            if bool(touched.any()):
                codes = one.codes.clone()
                codes[touched] = self.book.encode_again(one.vectors[touched], one.codes[touched])
                self.looks[i] = replace(one, codes=codes)
                self.live.mark(one.names_of(touched), rows)

    def _ids_of(self, things: Instances) -> Int64[Tensor, " I"]:
        """Give things of the finished map the ids of those that most of their segments were in."""
        return self.tracks.name(things, list(self.looks.values()))


def _nothing() -> tuple[Tensor, Tensor]:
    return torch.zeros(0, dtype=torch.int64), torch.zeros(0, 2, dtype=torch.int64)
