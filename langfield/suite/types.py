"""The slots of the suite: what an encoder is to the rest of the house."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor


class ImageEncoder(Protocol):
    """Pictures to unit vectors; preprocessing travels with the weights."""

    name: str
    """Spec string that makes it again, such as "openai-vit-b16-torch"."""
    dim: int
    """Width D of its vectors."""
    provenance: dict[str, Any]
    """Weights file, SHA-256, licence, preprocessing: stored in the run and shown with answers."""

    def encode_images(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per picture (RGB, any sizes)."""
        ...


class TextEncoder(Protocol):
    """Texts to unit vectors in the same space as an image encoder's."""

    name: str
    dim: int
    provenance: dict[str, Any]

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per text."""
        ...
