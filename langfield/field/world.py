"""The world a field lives in: its name, its unit, and the way from the capture's own frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langfield.errors import FormatError

REMEDY = "write the field again"
Rows = tuple[tuple[float, ...], ...]
IDENTITY: Rows = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))


@dataclass(frozen=True)
class World:
    """What coordinates mean."""

    name: str = "as given"
    """Such as "colmap" or "nerfstudio transforms"."""
    unit: str = "unknown"
    """"metre" or "unknown"."""
    T_field_capture: Rows = IDENTITY
    """Four rows of four: from the capture's own frame to the field's."""


def world_of(provenance: Mapping[str, Any]) -> World:
    """Give the world that a field's provenance names; the capture's own where it names none.

    Raises:
        FormatError: it is not text, text and four rows of four finite numbers.
    """
    found = provenance.get("world", {})
    if not isinstance(found, dict):
        raise FormatError("the field's world is no JSON object", repr(found)[:60], REMEDY)
    name, unit = found.get("name", World.name), found.get("unit", World.unit)
    rows = found.get("T_field_capture", IDENTITY)
    square = isinstance(rows, (list, tuple)) and [len(r) if isinstance(r, (list, tuple)) else 0 for r in rows]
    if not isinstance(name, str) or not isinstance(unit, str) or square != [4, 4, 4, 4]:
        raise FormatError(
            "the field's world lacks name, unit or a transform", repr(found)[:60], "write the field again"
        )
    if not all(type(v) in (int, float) and abs(v) < 1e300 and math.isfinite(v) for r in rows for v in r):
        raise FormatError("the field's transform is not of finite numbers", repr(rows)[:60], REMEDY)
    return World(name, unit, tuple(tuple(float(v) for v in r) for r in rows))
