"""What a codec is: embeddings to a few numbers and back, with its fidelity known."""

from __future__ import annotations

from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor


class Codec(Protocol):
    """Embeddings [M, D] to codes [M, d] and back; made by `fit` or `load` of its own file."""

    kind: str
    """Its name in the codec table, such as "autoencoder"."""
    dim: int
    """Width D of the embeddings."""
    width: int
    """Width d of a code."""

    def encode(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M d"]:
        """Give the codes of unit vectors."""
        ...

    def decode(self, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B D"]:
        """Give unit vectors back; a zero code gives a zero vector."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Give its state for `artefacts.write_tensors`."""
        ...

    def about(self) -> dict[str, Any]:
        """Give kind, sizes, settings and fidelity as JSON data."""
        ...
