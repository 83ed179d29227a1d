"""A vector for every 4 × 4 pixels of a picture: patches of the CLIP tower brought up by a learned upsampler.

After Online Language Splatting's high-resolution CLIP module (arXiv 2503.09447, Section 3.2), which fuses ConvNeXt's
stages into the last one. Our tower is a plain vision transformer: tokens of two early blocks and a small stem on the
picture stand in for the stages. Every output is a mean of the patches around it, weighted by how alike picture and
tokens are there, so an unknown thing keeps the vector the tower gives it: nets that also added to the vectors did so
wrongly on scenes they had not seen (mean IoU 0.480 on tabletop, trained on fr3_office; 0.576 without).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, normalize, pad, unfold

from langfield import weights
from langfield.artefacts import read_tensors
from langfield.errors import EnvironmentProblem, FormatError
from langfield.suite.onnx_tower import WEIGHTS, tower_provenance
from langfield.suite.patches import STAGES, Patches, patch_vectors, whole_pixels
from langfield.suite.torch_tower import HEADS, WIDTH, tower_state
from langfield.suite.vit import Vit, cast, from_state

FOLDER = Path(__file__).parent / "dense_upsampler"
FILE = "upsampler.safetensors"
UP = 4
"""Outputs along a patch's side: a patch of 16 pixels gives 4 × 4."""
REACH = 2
"""Patches to each side that an output may take from."""
KERNEL = (2 * REACH + 1) ** 2
SIDE_PX = 448
SPREAD = 0.7
"""Width of the Gaussian an untrained net weighs patches with, in patches."""


@dataclass(frozen=True)
class Widths:
    """Sizes of the upsampler's layers."""

    early: int = len(STAGES) * WIDTH
    stem: int = 48
    guide: int = 96
    key: int = 64


class Upsampler(nn.Module):
    """Patches at 1/16 to unit vectors at 1/4 of the picture; about 0.4 M numbers."""

    def __init__(self, widths: Widths = Widths()) -> None:
        super().__init__()
        w, self.widths = widths, widths
        self.stem = nn.Sequential(
            nn.Conv2d(3, w.stem // 2, 3, 2, 1), nn.GELU(), nn.Conv2d(w.stem // 2, w.stem, 3, 2, 1), nn.GELU()
        )
        self.early = nn.Sequential(nn.GroupNorm(len(STAGES), w.early), nn.Conv2d(w.early, w.guide, 1))
        self.guide = nn.Sequential(
            nn.Conv2d(w.stem + w.guide, w.guide, 3, 1, 1), nn.GELU(), nn.Conv2d(w.guide, w.guide, 3, 1, 1), nn.GELU()
        )
        self.query, self.key = nn.Conv2d(w.guide, w.key, 1), nn.Conv2d(2 * w.guide, w.key, 1)
        self.near = nn.Parameter(_distances())

    def forward(self, patches: Patches) -> Float[Tensor, "D H W"]:
        """Give a unit vector per output; H = 4 h."""
        vectors, early = patches.vectors[None], self.early(patches.early[None])
        rough = interpolate(early, scale_factor=UP, mode="bilinear", align_corners=False)
        guide = self.guide(torch.cat([self.stem(patches.pixels[None]), rough], 1))
        near = self._weights(self.query(guide), self.key(torch.cat([avg_pool2d(guide, UP), early], 1)))
        mixed = _fold(near @ _around(vectors).permute(2, 1, 0), (vectors.shape[2], vectors.shape[3]))
        return normalize(mixed[0], dim=0)

    def _weights(self, query: Float[Tensor, "1 C H W"], key: Float[Tensor, "1 C h w"]) -> Float[Tensor, "T U K"]:
        """Give how much each output takes of each patch around its own; rows add up to 1."""
        asked = unfold(query, UP, stride=UP).unflatten(1, (-1, UP * UP))[0]  # C U T
        alike = asked.permute(2, 1, 0) @ _around(key).permute(2, 0, 1) / key.shape[1] ** 0.5
        return (alike + self.near).softmax(dim=-1)


def _distances() -> Float[Tensor, "U K"]:
    """Give the logits that make an untrained net a Gaussian blur of the patches."""
    inside = (torch.arange(UP) + 0.5) / UP - 0.5
    gaps = (torch.arange(-REACH, REACH + 1) - inside[:, None]).square()
    both = gaps[:, None, :, None] + gaps[None, :, None, :]  # rows, columns of an output and of a patch
    return -both.reshape(UP * UP, KERNEL) / (2 * SPREAD**2)


def _around(grid: Float[Tensor, "1 C h w"]) -> Float[Tensor, "C K T"]:
    """Give each patch's neighbourhood; beyond the border the border's patches are repeated."""
    padded = pad(grid, (REACH,) * 4, mode="replicate")
    return unfold(padded, 2 * REACH + 1)[0].unflatten(0, (-1, KERNEL))


def _fold(outputs: Float[Tensor, "T U D"], size: tuple[int, int]) -> Float[Tensor, "1 D H W"]:
    """Put the outputs of every patch in their places."""
    grid = outputs.reshape(*size, UP, UP, -1).permute(4, 0, 2, 1, 3)
    return grid.reshape(1, outputs.shape[-1], UP * size[0], UP * size[1])


class DenseEncoder:
    """Whole pictures to vectors per 4 × 4 pixels of a picture whose longer side is 448 pixels.

    Args:
        vit: weights of the tower.
        net: the upsampler.
        about: where the upsampler came from.
    """

    name, dim = "openai-vit-b16-dense", 512

    def __init__(self, vit: Vit, net: Upsampler, about: Mapping[str, Any]) -> None:
        self._vit, self._net = vit, net.eval().requires_grad_(False)
        kind = str(vit.patch.dtype).removeprefix("torch.")
        self.provenance: dict[str, Any] = {**tower_provenance(self.name, kind), "upsampler": dict(about)}

    @torch.no_grad()
    def encode(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "h w 512"]:
        """Give unit vectors, rows from above; a 4:3 picture gives 84 × 112.

        Raises:
            FormatError: not uint8 RGB, or too long and thin.
        """
        return self._net(self.patches(image)).permute(1, 2, 0).cpu()

    def patches(self, image: UInt8[np.ndarray, "H W 3"]) -> Patches:
        """Give what the upsampler starts from.

        Raises:
            FormatError: not uint8 RGB, or too long and thin.
        """
        return patch_vectors(self._vit, whole_pixels(image, SIDE_PX).to(self._vit.patch.device))

    def to(self, device: torch.device) -> None:
        """Encode on a device from now on."""
        self._vit, self._net = cast(self._vit, device), self._net.to(device)


def tower() -> Vit:
    """Give the tower's weights, in bfloat16 where the processor multiplies it.

    Raises:
        EnvironmentProblem: the weights are not on this machine.
    """
    from langfield.suite.onnx_graph import read_graph

    vit = from_state(tower_state(read_graph(weights.require(WEIGHTS))), HEADS)
    return cast(vit, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else vit


def load(folder: Path = FOLDER) -> DenseEncoder:
    """Make the encoder from the weights store and a trained upsampler.

    Raises:
        EnvironmentProblem: weights are not on this machine.
        FormatError: the upsampler's file is damaged or of another net.
    """
    if not (folder / FILE).is_file():
        raise EnvironmentProblem("the dense upsampler is not in this installation", folder, "langfield weights dense")
    net, about = read_upsampler(folder / FILE)
    return DenseEncoder(tower(), net, about)


def read_upsampler(path: Path) -> tuple[Upsampler, dict[str, Any]]:
    """Read a trained upsampler, float32, and what its file says about it.

    Raises:
        FormatError: missing, damaged, or of another net.
    """
    tensors, about = read_tensors(path)
    net = Upsampler()
    for name, like in net.state_dict().items():
        found = tensors.get(name)
        if found is None or found.shape != like.shape or found.dtype != torch.float16 or not found.isfinite().all():
            raise FormatError(
                "not an upsampler of this version", f"{path}: {name}", "train it: langfield weights dense"
            )
    net.load_state_dict({name: tensors[name].float() for name in net.state_dict()})
    return net, about
