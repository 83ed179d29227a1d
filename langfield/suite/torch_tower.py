"""The same CLIP weights read back into an ordinary differentiable torch tower: the default image encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from langfield import weights
from langfield.errors import FormatError
from langfield.segment.workers import single_threaded
from langfield.suite.onnx_graph import Graph, read_graph
from langfield.suite.onnx_tower import WEIGHTS, tower_provenance
from langfield.suite.preprocess import clip_pixels
from langfield.suite.vit import cast, encode_pixels, from_state

LAYERS, WIDTH, HEADS = 12, 768, 12
BATCH, GPU_BATCH = 8, 64


def tower_state(graph: Graph) -> dict[str, Tensor]:
    """Undo the quantisation and give the state of open_clip's ViT-B-16-quickgelu visual tower.

    Args:
        graph: the 8-bit graph; projections are `MatMulInteger` nodes whose second input is the [in, out] weight.

    Raises:
        FormatError: the graph is of another model.
    """
    try:
        return _state(graph)
    except KeyError as error:
        raise FormatError(
            f"the ONNX graph is of another model: it has no {error}", remedy="use CLIP ViT-B/16"
        ) from error


def _state(graph: Graph) -> dict[str, Tensor]:
    source = {n.name.removesuffix("/MatMul_quant"): n.inputs[1] for n in graph.nodes if n.op == "MatMulInteger"}

    def plain(name: str) -> Tensor:
        return torch.from_numpy(graph.tensors["vision_model." + name].copy())

    def matrix(name: str) -> Tensor:
        stem = source[name].removesuffix("_quantized")
        values, zero, scale = (graph.tensors[stem + end] for end in ("_quantized", "_zero_point", "_scale"))
        return torch.from_numpy(((values.astype(np.float32) - zero) * scale).T.copy())

    state = {
        "class_embedding": plain("embeddings.class_embedding"),
        "positional_embedding": plain("embeddings.position_embedding.weight"),
        "conv1.weight": plain("embeddings.patch_embedding.weight"),
        "proj": matrix("/visual_projection").T.contiguous(),
    }
    for ours, theirs in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        state |= {f"{ours}.{kind}": plain(f"{theirs}.{kind}") for kind in ("weight", "bias")}
    for i in range(LAYERS):
        block, theirs = f"transformer.resblocks.{i}.", f"encoder.layers.{i}."
        qkv = [f"self_attn.{part}_proj" for part in "qkv"]
        state[block + "attn.in_proj_weight"] = torch.cat([matrix(f"/vision_model/{_slashed(theirs + p)}") for p in qkv])
        state[block + "attn.in_proj_bias"] = torch.cat([plain(f"{theirs}{p}.bias") for p in qkv])
        names = {"attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
        for ours, name in names.items():
            state[f"{block}{ours}.weight"] = matrix(f"/vision_model/{_slashed(theirs + name)}")
            state[f"{block}{ours}.bias"] = plain(f"{theirs}{name}.bias")
        for n in (1, 2):
            state |= {f"{block}ln_{n}.{kind}": plain(f"{theirs}layer_norm{n}.{kind}") for kind in ("weight", "bias")}
    return state


def _slashed(name: str) -> str:
    """Turn encoder.layers.3.mlp.fc1 into the graph's encoder/layers.3/mlp/fc1."""
    head, _, rest = name.partition(".layers.")
    number, _, tail = rest.partition(".")
    return f"{head}/layers.{number}/{tail.replace('.', '/')}"


def build_tower(state: dict[str, Tensor]) -> nn.Module:
    """Put the state into open_clip's visual tower, float32, gradients off.

    Raises:
        FormatError: keys or shapes do not fit.
    """
    from open_clip.model import CLIPVisionCfg, _build_vision_tower

    with torch.device("meta"):
        tower = _build_vision_tower(512, CLIPVisionCfg(layers=LAYERS, width=WIDTH, patch_size=16), quick_gelu=True)
    try:
        tower.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise FormatError(f"the ONNX graph is of another model: {error}", remedy="use CLIP ViT-B/16") from error
    return tower.requires_grad_(False).eval()


class TorchTower:
    """ImageEncoder over the float32 weights; `module()` gives them as open_clip's differentiable tower.

    Args:
        path: the 8-bit ONNX file the weights are read back from.
    """

    name = "openai-vit-b16-torch"
    dim = 512

    def __init__(self, path: Path) -> None:
        self._state = tower_state(read_graph(path))
        self._vit, self._device = from_state(self._state, HEADS), torch.device("cpu")
        self.provenance: dict[str, Any] = tower_provenance(self.name, "float32, weights read back from 8 bits")

    def encode_images(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B 512"]:
        """Give one float32 unit vector per picture (RGB, any sizes)."""
        batch = BATCH if self._device.type == "cpu" else GPU_BATCH
        batches = [images[i : i + batch] for i in range(0, len(images), batch)]
        if self._device.type == "cpu" and len(batches) >= torch.get_num_threads() > 1:
            with single_threaded() as pool:  # the same bits: a product does not depend on the number of threads
                rows = list(pool.map(self._encode, batches))
        else:
            rows = [self._encode(batch) for batch in batches]
        return F.normalize(torch.cat(rows), dim=1) if rows else torch.zeros(0, self.dim)

    def _encode(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B 512"]:
        return encode_pixels(self._vit, clip_pixels(images).to(self._device)).cpu()

    def to(self, device: torch.device) -> None:
        """Encode on a device from now on."""
        self._vit, self._device = cast(self._vit, device), device

    def module(self) -> nn.Module:
        """Give the tower as open_clip builds it: attention, layers and gradients are open to other code."""
        return build_tower(self._state)


def load() -> TorchTower:
    """Make the encoder from the weights store.

    Raises:
        EnvironmentProblem: the weights are not on this machine.
    """
    return TorchTower(weights.require(WEIGHTS))
