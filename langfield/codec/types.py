"""What a codec is: embeddings to a few numbers and back, with its fidelity known."""

from __future__ import annotations

from typing import Any, Protocol

from jaxtyping import Float, Shaped
from torch import Tensor


class Codec(Protocol):
    """Embeddings [M, D] to codes [M, d] and back; made by `fit` or `load` of its own file.

    A code is one row of one tensor, whatever the codec: floats where codes are dense, int16 words that each hold an
    atom and a weight (`langfield.codec.words`) where they are sparse. A code of zeros is no vector.
    """

    kind: str
    """Its name in the codec table, such as "autoencoder"."""
    dim: int
    """Width D of the embeddings."""
    width: int
    """Width d of a code."""
    linear: bool
    """Whether `inner` is a sum over the numbers of a code, so that no vector is ever formed."""

    def encode(self, vectors: Float[Tensor, "M D"]) -> Shaped[Tensor, "M d"]:
        """Give the codes of vectors; only their directions count."""
        ...

    def decode(self, codes: Shaped[Tensor, "*B d"]) -> Float[Tensor, "*B D"]:
        """Give unit vectors back; a zero code gives a zero vector."""
        ...

    def inner(self, codes: Shaped[Tensor, "*B d"], queries: Float[Tensor, "Q D"]) -> Float[Tensor, "*B Q"]:
        """Give the inner product of what `decode` would give with every query."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Give its state for `artefacts.write_tensors`."""
        ...

    def about(self) -> dict[str, Any]:
        """Give kind, sizes, settings and fidelity as JSON data."""
        ...
