"""One CLIP for all methods of the suite: an open_clip model, a toy CLIP, or an image tower with the text bridge.

It carries its preprocessing, so that weights and preprocessing cannot come apart, and opens its towers: tokens at any
layer, the last attention, the tail from given tokens, texts from token embeddings. Where there is no text tower texts
still have vectors, made by another encoder; `has_text_tower` says so, and methods that need one refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from langfield.errors import SettingsError
from langfield.suite import model_image, model_text
from langfield.suite.model_image import unit
from langfield.suite.types import TextEncoder

BATCH = 16
STAND_IN_SCALE = 100.0
REMEDY = "use an open_clip model or toy:good"


@dataclass(frozen=True)
class Parts:
    """What a ClipModel is made of."""

    module: nn.Module
    """Holds `visual`, and a text tower and `logit_scale` where there are any, as open_clip's CLIP does."""
    pixels: Callable[[Sequence[UInt8[np.ndarray, "h w 3"]]], Float[Tensor, "B 3 S S"]]
    """The preprocessing that belongs to the weights."""
    tokenizer: Any | None
    """Texts and context length to ids, as open_clip's tokenizers are called; None without a text tower."""
    words: TextEncoder | None
    """Makes vectors of texts where there is no text tower."""
    provenance: dict[str, Any]


class ClipModel:
    """A CLIP that is an ImageEncoder and a TextEncoder, and can be taken apart.

    Args:
        name: spec string that makes it again (`langfield.suite.spec`).
        parts: its towers.
        dim: width D of its vectors.
    """

    def __init__(self, name: str, parts: Parts, dim: int) -> None:
        if parts.tokenizer is None and parts.words is None:
            raise ValueError("a CLIP needs a text tower or an encoder of words")
        self.name, self.dim, self.module = name, dim, parts.module.eval()
        self.provenance, self.pixels = parts.provenance, parts.pixels
        self.tokenizer, self._words = parts.tokenizer, parts.words

    @property
    def visual(self) -> Any:
        """The image tower."""
        return self._part("visual")

    @property
    def text(self) -> Any:
        """The module that holds the pieces of the text tower (see `model_text`).

        Raises:
            SettingsError: there is none, or it cannot be taken apart.
        """
        owner = None if self.tokenizer is None else model_text.text_owner(self.module)
        if owner is None:
            raise SettingsError(f"{self.name} has no text tower that can be taken apart", remedy=REMEDY)
        return owner

    @property
    def has_text_tower(self) -> bool:
        """Whether texts go through a tower of this model, and not through another encoder."""
        return self.tokenizer is not None and model_text.text_owner(self.module) is not None

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before softmax; 100 for stand-ins, as in OpenAI's models."""
        scale = getattr(self.module, "logit_scale", None)
        return STAND_IN_SCALE if scale is None else float(scale.detach().exp())

    @property
    def context_length(self) -> int:
        """Number of tokens of a text."""
        owner = model_text.text_owner(self.module)
        return len(owner.positional_embedding) if owner is not None else int(self._part("context_length"))

    @torch.no_grad()
    def encode_images(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per picture (RGB, any sizes)."""
        batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        rows = [self.image_vectors(self.pixels(batch)) for batch in batches]
        return torch.cat(rows).float() if rows else torch.zeros(0, self.dim)

    @torch.no_grad()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per text."""
        if self._words is not None:
            return self._words.encode_texts(texts)
        return self.text_vectors(self.ids(texts)).float() if texts else torch.zeros(0, self.dim)

    def image_vectors(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Give unit vectors of preprocessed pictures, with gradients."""
        return unit(self.visual(pixels))

    def image_tokens(
        self, pixels: Float[Tensor, "B 3 S S"], layers: Sequence[int] = (-1,)
    ) -> list[Float[Tensor, "B T C"]]:
        """Give the tokens, class token first, after so many blocks (0 to the depth, or counted from the end)."""
        return model_image.tokens(self.visual, pixels, layers)

    def image_attention(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B h T T"]:
        """Give the last block's attention, per head."""
        return model_image.attention(self.visual, self.image_tokens(pixels, (-2,))[0])

    def image_tail(self, state: Float[Tensor, "B T C"], start: int) -> Float[Tensor, "B D"]:
        """Give unit vectors of tokens that have been through `start` blocks."""
        return unit(model_image.tail(self.visual, state, start))

    def image_patches(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B h w D"]:
        """Give a unit vector per patch: its last token, projected as the class token is."""
        found = model_image.project(self.visual, self.image_tokens(pixels)[0])[:, 1:]
        return unit(found).unflatten(1, model_image.grid(self.visual))

    def ids(self, texts: Sequence[str]) -> Int[Tensor, "B L"]:
        """Give the token ids of texts, cut at the context length.

        Raises:
            SettingsError: there is no text tower.
        """
        if self.tokenizer is None:
            raise SettingsError(f"{self.name} has no text tower", remedy=REMEDY)
        return self.tokenizer(list(texts), self.context_length)

    def text_vectors(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B D"]:
        """Give unit vectors of tokenised texts, with gradients."""
        return unit(self._part("encode_text")(ids))

    def token_embeddings(self, ids: Int[Tensor, "B L"]) -> Float[Tensor, "B L C"]:
        """Give the embeddings of tokens, without positions."""
        return model_text.embed(self.text, ids)

    def text_ends(self, ids: Int[Tensor, "B L"]) -> Int[Tensor, " B"]:
        """Say which token of each text its vector is read from."""
        return model_text.ends(self.text, ids)

    def text_from_embeddings(self, embeddings: Float[Tensor, "B L C"], at: Int[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """Give unit vectors of texts given as token embeddings, read at the tokens `at`."""
        return unit(model_text.from_embeddings(self.text, embeddings, at))

    def _part(self, name: str) -> Any:
        return getattr(self.module, name)
