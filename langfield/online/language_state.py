"""Keyframes' sums as tensors and JSON data, and back, distrusting them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from langfield.errors import FormatError
from langfield.field.lift import SEGMENT_BITS, load_sums
from langfield.online.language_looks import Look

KINDS = {
    "ids": (torch.int16, 3),
    "vectors": (torch.float32, 2),
    "codes": (torch.int16, 2),
    "tracks": (torch.int64, 1),
    "key": (torch.int64, 1),
    "steps": (torch.int64, 2),
}
REMEDY = "start afresh"


def save_looks(looks: Sequence[Look]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Give looks as tensors `look.ID.NAME`, the looks' own and never changed in place, and what JSON holds of them."""
    tensors: dict[str, Tensor] = {}
    for one in looks:
        held = {"ids": one.ids, "vectors": one.vectors, "codes": one.codes, "tracks": one.tracks}
        tensors |= {f"look.{one.id}.{name}": tensor for name, tensor in (held | one.sums.tensors()).items()}
    return tensors, [{"id": one.id, "seen_from": one.seen_from, "age": one.age} for one in looks]


def load_looks(tensors: Mapping[str, Tensor], about: Any, given: int) -> list[Look]:
    """Make looks from `save_looks`.

    Args:
        tensors: as read.
        about: as read.
        given: one above the largest name of a Gaussian.

    Raises:
        FormatError: something is missing, of another kind, or points at what is not there.
    """
    if not isinstance(about, list):
        raise FormatError("saved language map lacks its keyframes", None, REMEDY)
    looks = [_look(tensors, entry, given) for entry in about]
    if any(a.id >= b.id for a, b in pairwise(looks)):
        raise FormatError("saved keyframes are not in rising order", None, REMEDY)
    return looks


def _look(tensors: Mapping[str, Tensor], entry: Any, given: int) -> Look:
    fields = (entry.get("id"), entry.get("seen_from"), entry.get("age")) if isinstance(entry, dict) else (None,) * 3
    number, seen_from, age = fields
    if not (isinstance(number, int) and isinstance(seen_from, str) and isinstance(age, int)):
        raise FormatError("a saved keyframe lacks its id", str(entry)[:80], REMEDY)
    found = {name: tensors.get(f"look.{number}.{name}") for name in KINDS}
    for name, (dtype, axes) in KINDS.items():
        tensor = found[name]
        if tensor is None or tensor.dtype != dtype or tensor.ndim != axes:
            raise FormatError(f"saved keyframe {number} has no usable {name}", None, REMEDY)
    ids, vectors, codes, tracks, key, steps = (t for t in found.values() if t is not None)
    sums = load_sums({"key": key, "steps": steps})
    many = len(vectors)
    wrong = len(codes) != many or len(tracks) != many or (len(key) and int(sums.gaussian.max()) >= given)
    if wrong or (len(key) and (int((sums.column & (2**SEGMENT_BITS - 1)).max()) >= many or _views(sums) != {number})):
        raise FormatError(f"saved keyframe {number} does not fit itself", f"{many} segments", REMEDY)
    if ids.numel() and not -1 <= int(ids.min()) <= int(ids.max()) < many:
        raise FormatError(f"saved keyframe {number} does not fit itself", f"{many} segments", REMEDY)
    return Look(number, ids, vectors, codes, tracks, sums, seen_from, age)


def _views(sums: Any) -> set[int]:
    return set(torch.unique(sums.column >> SEGMENT_BITS).tolist())
