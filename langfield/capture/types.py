"""What a capture is: frames with cameras, start points, and the name of the world they live in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Distortion:
    """Lens distortion in OpenCV's terms."""

    model: str
    """"opencv" (k1 k2 p1 p2 k3 k4 k5 k6) or "fisheye" (k1 k2 k3 k4)."""
    coefficients: tuple[float, ...]
    """Dimensionless, in the order above; missing trailing ones are zero."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with optional distortion; OpenCV axes: x right, y down, z forward."""

    K: Float[Tensor, "3 3"]
    """Intrinsics in pixels; pixel centres lie at +0.5. float64 as read, any float in use."""
    width: int
    height: int
    T_world_camera: Float[Tensor, "4 4"]
    """Camera to world, world units."""
    distortion: Distortion | None = None
    time_s: float | None = None
    """When it was taken; in captures that only order their pictures, 0 for the first and 1 for the last moment."""

    def resized(self, width: int, height: int) -> Camera:
        """Give the same camera with another picture size, in pixels (scales K, keeps the view)."""
        scale = torch.tensor([width / self.width, height / self.height, 1.0], dtype=self.K.dtype)
        K = self.K * scale[:, None]
        return Camera(K, width, height, self.T_world_camera, self.distortion, self.time_s)


@dataclass(frozen=True)
class Frame:
    """One picture of a capture."""

    name: str
    """File name relative to the pictures' folder, with its suffix: the key labels are matched by."""
    path: Path
    """Where the picture lies now."""
    camera: Camera
    source: Camera | None = None
    """The camera of the original picture where this frame was undistorted or resized from it."""
    depth_path: Path | None = None
    mask_path: Path | None = None
    split: str | None = None
    """"train" or "test" where the capture says so."""


@dataclass(frozen=True)
class Points:
    """Start points for the Gaussians."""

    xyz: Float[Tensor, "P 3"]
    """World units, float32."""
    rgb: UInt8[Tensor, "P 3"]


@dataclass(frozen=True)
class Capture:
    """A posed capture."""

    root: Path
    frames: tuple[Frame, ...]
    points: Points
    world: str = "as given"
    """Name of the world frame, such as "colmap" or "nerfstudio transforms"."""
    unit: str = "unknown"
    """Unit of the world frame: "metre" or "unknown"."""
    notes: tuple[str, ...] = field(default=())
    """What a person should be told once: frames left out and why, points made up, and so on."""
