"""Depth of keyframes that come as pictures alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from langfield.artefacts import file_key
from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera
from langfield.online.rgb.model import LEAST, DepthModel, laid_on, open_depth_model
from langfield.online.rgb.points import read_world_points, seen_depth
from langfield.online.rgb.spread import spread_depth

if TYPE_CHECKING:
    from langfield.online.types import OnlineSettings

TRUSTED = 0.2
"""A model's depth that is further off what it was laid on (median, relative) is not used."""
DENSE = 0.5
"""Depth known for a larger share of the picture needs no spreading."""


@dataclass(frozen=True)
class Depths:
    """Gives depth to pictures, once it is known where they were taken."""

    points: Float[np.ndarray, "P 3"] | None
    """World units; None without."""
    model: DepthModel | None
    typical: float
    """World units; how far things are where nothing says so."""
    about: dict[str, Any]
    """What depth comes from, for the field's manifest."""

    def __call__(self, frame: RgbdFrame, camera: Camera, mapped: Float[np.ndarray, "H W"]) -> RgbdFrame:
        """Give the frame with the depth that can be known of it; without any where there is none.

        Args:
            frame: at working size.
            camera: of that frame, where tracking found it.
            mapped: depth of the map as seen from there, world units, 0 where it shows nothing.
        """
        known = seen_depth(self.points, camera) if self.points is not None else np.zeros_like(mapped)
        depth = known if self.model is None else self._with_model(self.model, frame, known, mapped)
        return replace(frame, depth_m=depth if (depth > 0).any() else None)

    def _with_model(
        self, model: DepthModel, frame: RgbdFrame, known: Float[np.ndarray, "H W"], mapped: Float[np.ndarray, "H W"]
    ) -> Float[np.ndarray, "H W"]:
        """Lay a model's depth on points, or on the map where there are few; points stand above it."""
        told = known if (known > 0).sum() >= LEAST else mapped
        laid = laid_on(model(frame.image), model.kind, told, self.typical)
        if laid is None or (laid.off is not None and laid.off > TRUSTED):
            return known
        return np.where(known > 0, known, laid.depth)


def depths_for(settings: OnlineSettings) -> Depths | None:
    """Make what the settings ask for; None where they name neither points nor a model.

    Raises:
        FormatError: points or model are damaged.
        EnvironmentProblem: the model cannot be had.
    """
    if settings.points is None and settings.depth_model is None:
        return None
    points, about = None, dict[str, Any]()
    if settings.points is not None:
        points = read_world_points(settings.points)
        key = file_key(settings.points) if settings.points.is_file() else None
        about["points"] = {"name": settings.points.name, "many": len(points), "sha256": key}
    model = open_depth_model(settings.depth_model) if settings.depth_model is not None else None
    if model is not None:
        about["model"] = model.provenance
    return Depths(points, model, settings.mapping.first_depth, about)


def filled(frame: RgbdFrame) -> Float[np.ndarray, "H W"] | None:
    """Give a frame's depth between the pixels where it is known; None where it is known nowhere."""
    depth = frame.depth_m
    if depth is None or not (depth > 0).any():
        return None
    return depth if (depth > 0).mean() > DENSE else spread_depth(depth, frame.image)
