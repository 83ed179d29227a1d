"""The language field: Gaussians, codes at three levels, and all that is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from langfield.codec.types import Codec
from langfield.raster.types import Gaussians


@dataclass(frozen=True)
class Field:
    """A field that can be saved, loaded, drawn and asked."""

    gaussians: Gaussians
    codes: Float[Tensor, "L N d"] | None
    """Latent per level (subpart, part, whole) and Gaussian; None before the language stage."""
    codec: Codec | None
    provenance: dict[str, Any]
    """Image encoder, text encoder, codec fidelity, settings, package version."""
