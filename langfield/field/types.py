"""The language field: Gaussians, codes at three levels, and all that is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor

from langfield.codec.types import Codec
from langfield.field.instances import Instances
from langfield.raster.types import Gaussians


@dataclass(frozen=True)
class Field:
    """A field that can be saved, loaded, drawn and asked."""

    gaussians: Gaussians
    codes: Shaped[Tensor, "L N d"] | None
    """Code per level (subpart, part, whole) and Gaussian: floats, or int16 words where the codec is a codebook; zeros
    where no view has shown a Gaussian; None before the language stage."""
    codec: Codec | None
    provenance: dict[str, Any]
    """Image encoder, text encoder, codec fidelity, settings, package version."""
    reliability: Float[Tensor, "L N"] | None = None
    """How far each code can be trusted, where it was lifted: agreement of the views times how many there are."""
    instances: Instances | None = None
    """The things that the views' segments agree on, where they were looked for."""
