"""The language field: Gaussians, codes at three levels, and all that is needed to ask it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Shaped
from torch import Tensor

from langfield.codec.types import Codec
from langfield.field.deform import Deformation
from langfield.field.instances import Instances
from langfield.field.status import StatusNet, StatusTracks
from langfield.raster.types import Gaussians


@dataclass(frozen=True)
class LanguageShape:
    """How Gaussians are drawn for language where it has a shape of its own; centres are shared."""

    quats: Float[Tensor, "N 4"]
    log_scales: Float[Tensor, "N 3"]
    logit_opacities: Float[Tensor, " N"]


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
    deformation: Deformation | None = None
    """How the Gaussians differ at each time from the canonical ones above, where they move."""
    caption_codec: Codec | None = None
    """Of the codes of states, which stand for embedded captions; there if states are."""
    status_tracks: StatusTracks | None = None
    """The states of things and when each holds, where captions were lifted."""
    status_net: StatusNet | None = None
    """The states of Gaussians and the network that mixes them, where it was trained."""
    language: LanguageShape | None = None
    """Rotation, scale and opacity that codes are drawn with, where they are not those of colour."""

    @property
    def language_gaussians(self) -> Gaussians:
        """The Gaussians as codes are drawn with them."""
        if self.language is None:
            return self.gaussians
        own = self.language
        return replace(self.gaussians, quats=own.quats, log_scales=own.log_scales, logit_opacities=own.logit_opacities)
