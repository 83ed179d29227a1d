"""Online Language Splatting's two autoencoders: embeddings to 32 numbers for any scene, those to 15 for this one.

Stage one is trained once on many pictures and never moves; stage two learns with every keyframe
(`langfield.codec.two_stage_fit`; arXiv 2503.09447, Section 3.3). Layers as published from
the width of our tower on: D-256-128-64-32 and 32-192-256-384-D (theirs is 768 wide and begins and ends with a layer of
512), then 32-24-15-24-32; codes have unit length. Unlike theirs, both begin with a subtraction: CLIP's vectors of
pictures share most of their length, and an autoencoder that keeps that and nothing else has a cosine of 0.9. What is
subtracted is fixed when the stage begins to learn, as are the first weights: those of principal components.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from langfield.errors import FormatError

MIDDLE, WIDTH = 32, 15
ENCODER, DECODER, STAGE_TWO = (256, 128, 64), (192, 256, 384), 24
MAX_WIDTH = 16_384
AT_ONCE = 2**16


def layers(widths: Sequence[int]) -> nn.Sequential:
    """Give linear layers with ReLU between them."""
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class Stage(nn.Module):
    """An encoder and a decoder of what is left of vectors after subtraction of `mean` and division by `spread`."""

    mean: Float[Tensor, " I"]
    spread: Float[Tensor, 1]

    def __init__(self, encoder: Sequence[int], decoder: Sequence[int]) -> None:
        super().__init__()
        self.encoder, self.decoder = layers(encoder), layers(decoder)
        self.register_buffer("mean", torch.zeros(encoder[0]))
        self.register_buffer("spread", torch.ones(1))

    def centred(self, vectors: Float[Tensor, "*B I"]) -> Float[Tensor, "*B I"]:
        """Give what the encoder gets."""
        return (vectors.float() - self.mean) / self.spread

    def whole(self, found: Float[Tensor, "*B I"]) -> Float[Tensor, "*B I"]:
        """Undo `centred`."""
        return found * self.spread + self.mean


class StageOne(Stage):
    """Embeddings to 32 numbers and back, for any scene."""

    def __init__(self, dim: int) -> None:
        super().__init__((dim, *ENCODER, MIDDLE), (MIDDLE, *DECODER, dim))
        self.dim = dim

    def encode(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, "*B 32"]:
        """Give what stage two works on."""
        return self.encoder(self.centred(vectors))

    def decode(self, middle: Float[Tensor, "*B 32"]) -> Float[Tensor, "*B D"]:
        """Give vectors back, not scaled to unit length."""
        return self.whole(self.decoder(middle))


class StageTwo(Stage):
    """32 numbers to a unit code of 15 and back, for one scene."""

    def __init__(self) -> None:
        super().__init__((MIDDLE, STAGE_TWO, WIDTH), (WIDTH, STAGE_TWO, MIDDLE))

    def encode(self, middle: Float[Tensor, "*B 32"]) -> Float[Tensor, "*B 15"]:
        """Give unit codes."""
        return normalize(self.encoder(self.centred(middle)), dim=-1)

    def decode(self, codes: Float[Tensor, "*B 15"]) -> Float[Tensor, "*B 32"]:
        """Give what stage one decodes."""
        return self.whole(self.decoder(codes))


class TwoStage:
    """Both stages as one codec; see `langfield.codec.types.Codec`."""

    kind, linear, width = "two-stage", False, WIDTH

    def __init__(self, one: StageOne, two: StageTwo, dim: int, fidelity: Mapping[str, float]) -> None:
        self.one, self.two = one.eval().requires_grad_(False), two.eval().requires_grad_(False)
        self.dim, self.fidelity = dim, dict(fidelity)

    def encode(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M 15"]:
        """Give unit codes of unit vectors."""
        return self.two.encode(self.one.encode(vectors))

    def decode(self, codes: Float[Tensor, "*B 15"]) -> Float[Tensor, "*B D"]:
        """Give unit vectors back; a zero code gives a zero vector."""
        present = (codes != 0).any(dim=-1, keepdim=True)
        return normalize(self.one.decode(self.two.decode(codes.float())), dim=-1) * present

    def inner(self, codes: Float[Tensor, "*B 15"], queries: Float[Tensor, "Q D"]) -> Float[Tensor, "*B Q"]:
        """Give the inner products of decoded codes with queries; each code is decoded, 65,536 at a time."""
        parts = [self.decode(part) @ queries.float().T for part in codes.reshape(-1, WIDTH).split(AT_ONCE)]
        return torch.cat(parts).unflatten(0, codes.shape[:-1])

    def tensors(self) -> dict[str, Tensor]:
        """Give the weights of both stages."""
        both = (("one", self.one), ("two", self.two))
        return {f"{name}.{key}": t for name, stage in both for key, t in stage.state_dict().items()}

    def about(self) -> dict[str, Any]:
        """Give kind, sizes and fidelity as JSON data."""
        return {"kind": self.kind, "dim": self.dim, "width": self.width, "fidelity": dict(self.fidelity)}


def load_two_stage(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> TwoStage:
    """Make the codec from its `tensors()` and `about()`.

    Raises:
        FormatError: sizes and tensors do not fit together, or values are not finite.
    """
    dim, fidelity = about.get("dim"), about.get("fidelity") or {}
    if type(dim) is not int or not 1 <= dim <= MAX_WIDTH or not isinstance(fidelity, dict):
        raise FormatError("codec description is not usable", f"dim {str(dim)[:20]}", "map the scene again")
    with torch.device("meta"):
        one, two = StageOne(dim), StageTwo()
    stages = {"one": one, "two": two}
    names = {name.partition(".")[0] for name in tensors}
    if names != set(stages):
        raise FormatError("codec file has missing or unknown tensors", ", ".join(sorted(names))[:80])
    for name, stage in stages.items():
        load_stage(stage, {k.removeprefix(f"{name}."): t for k, t in tensors.items() if k.startswith(f"{name}.")})
    return TwoStage(one, two, dim, fidelity)


def load_stage(stage: Stage, tensors: Mapping[str, Tensor]) -> None:
    """Put checked float32 tensors into a stage.

    Raises:
        FormatError: some are missing, unknown, of another shape or number format, or not finite; no spread.
    """
    expected = stage.state_dict()
    odd = sorted(set(expected) ^ set(tensors))
    if odd:
        raise FormatError("codec file has missing or unknown tensors", ", ".join(odd)[:80], "map the scene again")
    for name, like in expected.items():
        found = tensors[name]
        if found.shape != like.shape or found.dtype != torch.float32 or not torch.isfinite(found).all():
            raise FormatError(
                f"codec tensor is not finite or not float32 of shape {tuple(like.shape)}",
                f"{name}: {tuple(found.shape)}, {found.dtype}",
                "map the scene again",
            )
    if not float(tensors["spread"]) > 0:
        raise FormatError("codec tensor is not a positive number", "spread", "map the scene again")
    stage.load_state_dict(dict(tensors), assign=True)
