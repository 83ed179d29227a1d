"""What a thing is: named parts, each a mesh with a material."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tabletop_objects.geometry import Mesh

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A surface in the terms of the Disney principled model."""

    colour: Colour | np.ndarray | None = None
    """sRGB in 0..1, or a texture [H, W, 3] uint8 sRGB with its top row first; None: the mesh's vertex colours."""
    roughness: float = 0.5
    metallic: float = 0.0
    clearcoat: float = 0.0
    """Strength of a thin, clear, glossy layer, 0..1."""
    glow: float = 0.0
    """Emitted radiance as a multiple of `colour`; 0 for ordinary surfaces."""
    flat: bool = False
    """Shade each triangle flat, for things with sharp edges."""


@dataclass(frozen=True)
class Part:
    """A piece of a thing that has one material."""

    mesh: Mesh
    material: Material

    def moved(self, offset: tuple[float, float, float]) -> Part:
        """Shift by `offset`, metres."""
        return replace(self, mesh=self.mesh.moved(offset))

    def turned(self, axis: str, degrees: float) -> Part:
        """Turn about a coordinate axis through the origin."""
        return replace(self, mesh=self.mesh.turned(axis, degrees))


@dataclass(frozen=True)
class Thing:
    """An instance in the scene."""

    name: str
    """What a person would call it, with a colour where two of a kind exist; "" for the room (no instance)."""
    parts: tuple[Part, ...]

    def moved(self, offset: tuple[float, float, float]) -> Thing:
        """Shift by `offset`, metres."""
        return replace(self, parts=tuple(p.moved(offset) for p in self.parts))

    def turned(self, axis: str, degrees: float) -> Thing:
        """Turn about a coordinate axis through the origin."""
        return replace(self, parts=tuple(p.turned(axis, degrees) for p in self.parts))


def srgb(hexadecimal: str) -> Colour:
    """Read "#rrggbb"."""
    return tuple(int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]
