"""A whole picture through the CLIP tower once: text-aligned vectors of its patches, and earlier stages of the tower.

The class token is what CLIP aligned with text. A patch gets there by the value path of the last block alone, without
attention, residual and MLP (MaskCLIP, arXiv 2112.01071; ClearCLIP, arXiv 2407.12442), then the tower's own projection.
Position embeddings are interpolated, so a picture keeps its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate, linear, normalize, unfold

from langfield.errors import FormatError
from langfield.suite.preprocess import MEAN, STD
from langfield.suite.vit import Vit, norm, run_block

STAGES = (2, 7)
"""Blocks, from 0, whose tokens are handed on: edges and colours, then parts."""
MAX_TOKENS = 4096


@dataclass(frozen=True)
class Patches:
    """What the tower says about the patches of one picture, float32."""

    pixels: Float[Tensor, "3 H W"]
    """The picture as the tower got it."""
    early: Float[Tensor, "E h w"]
    """Tokens after the blocks of `STAGES`, one after the other; h = H / 16."""
    vectors: Float[Tensor, "D h w"]
    """Unit vectors in the space of texts."""


def whole_pixels(image: UInt8[np.ndarray, "h w 3"], side_px: int) -> Float[Tensor, "3 H W"]:
    """Give the tower's input of a whole picture.

    Args:
        image: RGB.
        side_px: longer side of the result; both sides become multiples of 16, at least 16.

    Raises:
        FormatError: not uint8 RGB, or it would have more than 4096 patches.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise FormatError(f"picture is not uint8 RGB: {image.dtype} {image.shape}", remedy="convert it to RGB")
    scale = side_px / max(image.shape[:2]) / 16
    height, width = (max(1, round(side * scale)) * 16 for side in image.shape[:2])
    if height * width > MAX_TOKENS * 256:
        raise FormatError(f"{height * width // 256} patches are more than {MAX_TOKENS}", remedy="choose a shorter side")
    resized = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(resized).permute(2, 0, 1).float().div_(255)
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


@torch.no_grad()
def patch_vectors(vit: Vit, pixels: Float[Tensor, "3 H W"]) -> Patches:
    """Give the patches of one picture; H and W are multiples of 16."""
    size = pixels.shape[1] // vit.patch_px, pixels.shape[2] // vit.patch_px
    tokens = linear(unfold(pixels[None].to(vit.patch), vit.patch_px, stride=vit.patch_px).mT, vit.patch)
    x = torch.cat([vit.class_token.expand(1, 1, -1), tokens], 1) + _positions(vit, size)
    x = norm(x, vit.ln_pre)
    early = []
    for number, block in enumerate(vit.blocks[:-1]):
        x = run_block(block, x, x.shape[1], vit.heads)
        if number in STAGES:
            early.append(_grid(x, size))
    return Patches(pixels, torch.cat(early), normalize(_grid(_aligned(vit, x), size), dim=0))


def _aligned(vit: Vit, x: Float[Tensor, "1 T C"]) -> Float[Tensor, "1 T D"]:
    """Take tokens through the value path of the last block into the space of texts."""
    last, width = vit.blocks[-1], x.shape[-1]
    weight, bias = last.qkv
    values = linear(norm(x, last.ln_1), weight[2 * width :], bias[2 * width :])
    return norm(linear(values, *last.out), vit.ln_post) @ vit.proj


def _positions(vit: Vit, size: tuple[int, int]) -> Float[Tensor, "T C"]:
    """Carry the square grid of position embeddings over to another grid."""
    side = round((len(vit.positions) - 1) ** 0.5)
    grid = vit.positions[1:].float().T.unflatten(1, (side, side))[None]
    if size != (side, side):
        grid = interpolate(grid, size=size, mode="bicubic", align_corners=False)
    return torch.cat([vit.positions[:1], grid[0].flatten(1).T.to(vit.positions)])


def _grid(x: Float[Tensor, "1 T C"], size: tuple[int, int]) -> Float[Tensor, "C h w"]:
    return x[0, 1:].float().T.unflatten(1, size)
