"""The codec that does nothing: codes are the embeddings. A baseline, and the upper bound of every other codec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.fidelity import report_fidelity
from langfield.codec.training import check_vectors
from langfield.errors import FormatError


class Identity:
    """Embeddings as codes; see `langfield.codec.types.Codec`."""

    kind = "identity"
    linear = True

    def __init__(self, dim: int, fidelity: Mapping[str, float] | None = None) -> None:
        self.dim = self.width = dim
        self.fidelity = dict(fidelity or {})

    def encode(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M d"]:
        """Give the vectors, scaled to unit length."""
        return normalize(vectors, dim=-1)

    def decode(self, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B D"]:
        """Give the codes, scaled to unit length; a zero code gives a zero vector."""
        return normalize(codes, dim=-1)

    def inner(self, codes: Float[Tensor, "*B d"], queries: Float[Tensor, "Q D"]) -> Float[Tensor, "*B Q"]:
        """Give the inner products of decoded codes with queries."""
        return self.decode(codes.float()) @ queries.float().T

    def tensors(self) -> dict[str, Tensor]:
        """Give nothing: there is no state."""
        return {}

    def about(self) -> dict[str, Any]:
        """Give kind and sizes as JSON data."""
        return {"kind": self.kind, "dim": self.dim, "width": self.width, "fidelity": dict(self.fidelity)}


def fit_identity(vectors: Float[Tensor, "M D"]) -> Identity:
    """Fit nothing, and measure it as every other codec is measured.

    Args:
        vectors: unit vectors, one per segment.

    Raises:
        SettingsError: there are fewer than two usable vectors.
    """
    vectors = check_vectors(vectors, "identity")
    codec = Identity(vectors.shape[1])
    codec.fidelity = report_fidelity("identity", vectors, codec.decode(codec.encode(vectors)))
    return codec


def load_identity(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Identity:
    """Make the identity from its description.

    Raises:
        FormatError: the width is no whole number from 1 to 65536, or there are tensors.
    """
    dim, fidelity = about.get("dim"), about.get("fidelity") or {}
    if not isinstance(dim, int) or not 1 <= dim <= 65_536 or tensors or not isinstance(fidelity, dict):
        raise FormatError("codec description is not an identity", f"dim {dim!r}, {len(tensors)} tensors")
    return Identity(dim, fidelity)
