"""What language learns from: codes of pictures, and the scales that colour has (arXiv 2503.09447, Section 3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.field.language import unit_codes
from langfield.field.types import LanguageShape
from langfield.raster import Gaussians, RasterOptions, rasterize


def draw_codes(gaussians: Gaussians, camera: Camera, codes: Float[Tensor, "N d"]) -> Float[Tensor, "H W d"]:
    """Blend unit codes into a view; gradients flow to all that has them on."""
    view = rasterize(gaussians, camera, channels=unit_codes(codes), options=RasterOptions(colour=False))
    return cast(Tensor, view.channels)


def apart(gaussians: Gaussians, own: LanguageShape) -> Gaussians:
    """Give the Gaussians as language draws them: centres shared but cut from the graph, the rest its own."""
    return replace(gaussians.detach(), quats=own.quats, log_scales=own.log_scales, logit_opacities=own.logit_opacities)


def code_loss(
    drawn: Float[Tensor, "H W d"], wanted: Float[Tensor, "H W d"], valid: Bool[Tensor, "H W"]
) -> Float[Tensor, ""]:
    """Give the mean absolute difference over pixels that have a code, zero where none has."""
    return ((drawn - wanted).abs().mean(dim=-1) * valid).sum() / valid.sum().clamp_min(1)


def scale_tie(own: Float[Tensor, "N 3"], colour: Float[Tensor, "N 3"]) -> Float[Tensor, ""]:
    """Give how far language's log scales are from colour's, mean absolute difference; colour gets no gradient.

    Logarithms, so that it means the same for a crumb and a wall: 0.1 is a tenth longer or shorter.
    """
    if not own.numel():
        return own.sum()
    return (own - colour.detach()).abs().mean()


def without_pose_gradient(camera: Camera) -> Camera:
    """Give the camera with its pose cut from the graph."""
    return replace(camera, T_world_camera=torch.as_tensor(camera.T_world_camera).detach())
