"""MobileSAM's image encoder for pictures of any shape: no padding to a square, and in bfloat16 where that is quick.

The published one takes 1024 x 1024 pixels only, of which a 4:3 picture fills three quarters, and 320 x 240 pixels
enlarged so far hold nothing that a smaller picture would not. Its attention looks at windows with relative positions,
so the same weights serve any size.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

STRIDE = 16
"""Pixels along each side of a token."""


class TinyEncoder:
    """MobileSAM's encoder with its normalisations folded into the convolutions before them.

    Args:
        encoder: as `load_sam` gives it, kind vit_t; stays as it is.
        dtype: what it computes in.
    """

    def __init__(self, encoder: Any, dtype: torch.dtype = torch.float32) -> None:
        net: Any = _fused(copy.deepcopy(encoder)).to(dtype)
        self.net, self.dtype = net.to(memory_format=torch.channels_last).eval(), dtype

    def to(self, device: torch.device) -> None:
        """Run on a device from now on."""
        self.net = self.net.to(device).eval()  # eval: attention biases are made anew there

    @torch.inference_mode()
    def __call__(self, pixels: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 256 H/16 W/16"]:
        """Give the features of a normalised picture, float32; sides are multiples of 16."""
        x = self.net.patch_embed(pixels.to(self.dtype, memory_format=torch.channels_last))
        first, *rest = self.net.layers
        x = _merged(first.downsample, first.blocks[1](first.blocks[0](x)))
        for layer in rest:
            for block in layer.blocks:
                x = _block(block, x)
            x = x if layer.downsample is None else _merged(layer.downsample, x)
        return self.net.neck(x).float().contiguous()


def _fused(module: nn.Module) -> nn.Module:
    """Fold each batch normalisation into its convolution, in place."""
    for name, child in list(module.named_children()):
        fuse = getattr(child, "fuse", None)
        module.set_submodule(name, fuse() if fuse is not None else _fused(child))
    return module


def _merged(merge: Any, x: Float[Tensor, "1 C h w"]) -> Tensor:
    return merge.conv3(merge.act(merge.conv2(merge.act(merge.conv1(x)))))


def _block(block: Any, x: Float[Tensor, "1 C h w"]) -> Float[Tensor, "1 C h w"]:
    """Attention within windows, a convolution, and the MLP (TinyViTBlock of any size)."""
    x = x + _windows(block.attn, x.permute(0, 2, 3, 1), block.window_size).permute(0, 3, 1, 2)
    x = block.local_conv(x)
    return x + block.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _windows(attention: Any, x: Float[Tensor, "1 h w C"], side: int) -> Float[Tensor, "1 h w C"]:
    """Let the tokens of each window attend to each other; windows over the border are filled with zeros."""
    height, width, channels = x.shape[1:]
    rows, columns = -(-height // side), -(-width // side)
    x = pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
    cut = x.view(rows, side, columns, side, channels).transpose(1, 2)
    mixed = attention(cut.reshape(rows * columns, side * side, channels))
    whole = mixed.view(rows, columns, side, side, channels).transpose(1, 2)
    return whole.reshape(1, rows * side, columns * side, channels)[:, :height, :width]
