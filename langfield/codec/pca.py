"""Principal axes: codes are what a vector measures along the few directions in which a scene's vectors are longest.

The axes are those of the vectors themselves, not of their differences from the mean: the mean is then the first axis,
codes need no offset, and a sum of codes is the code of the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.fidelity import report_fidelity
from langfield.codec.training import check_vectors
from langfield.errors import FormatError, SettingsError
from langfield.threads import one_thread

TOLERANCE = 1e-3


class Pca:
    """Codes along orthonormal axes; see `langfield.codec.types.Codec`."""

    kind = "pca"
    linear = True

    def __init__(self, axes: Float[Tensor, "d D"], fidelity: dict[str, float]) -> None:
        self.axes, self.fidelity = axes, fidelity
        self.width, self.dim = axes.shape

    def encode(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M d"]:
        """Give unit codes; a vector at right angles to all axes has none and gives zeros."""
        return normalize(vectors.float() @ self.axes.T, dim=-1)

    def decode(self, codes: Float[Tensor, "*B d"]) -> Float[Tensor, "*B D"]:
        """Give unit vectors back; a zero code gives a zero vector."""
        return normalize(codes.float(), dim=-1) @ self.axes

    def inner(self, codes: Float[Tensor, "*B d"], queries: Float[Tensor, "Q D"]) -> Float[Tensor, "*B Q"]:
        """Give the inner products of decoded codes with queries, as products of width d."""
        return normalize(codes.float(), dim=-1) @ (queries.float() @ self.axes.T).T

    def tensors(self) -> dict[str, Tensor]:
        """Give the axes."""
        return {"axes": self.axes}

    def about(self) -> dict[str, Any]:
        """Give kind, sizes and fidelity as JSON data."""
        return {"kind": self.kind, "dim": self.dim, "width": self.width, "fidelity": dict(self.fidelity)}


def fit_pca(vectors: Float[Tensor, "M D"], width: int = 32) -> Pca:
    """Find the axes that keep most of a scene's vectors.

    Args:
        vectors: unit vectors, one per segment.
        width: number of axes d, 1 to D.

    Raises:
        SettingsError: the width is out of range, or there are fewer than two usable vectors.
    """
    vectors = check_vectors(vectors, "pca")
    if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= vectors.shape[1]:
        raise SettingsError(f"pca needs a width from 1 to {vectors.shape[1]}", f"width {width!r}")
    with one_thread():
        wide = normalize(vectors, dim=-1).double()
        axes = torch.linalg.eigh(wide.T @ wide).eigenvectors.flip(1).T[:width]
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        axes = (axes * largest.sign()).float().contiguous()  # an axis and its opposite are equally good; choose one
    codec = Pca(axes, {})
    codec.fidelity = report_fidelity(f"pca of {width} numbers", vectors, codec.decode(codec.encode(vectors)))
    return codec


def load_pca(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Pca:
    """Make a pca from its `tensors()` and `about()`.

    Raises:
        FormatError: there are other tensors than finite, orthonormal axes of the declared sizes.
    """
    dim, width, fidelity = about.get("dim"), about.get("width"), about.get("fidelity") or {}
    axes = tensors.get("axes")
    if axes is None or set(tensors) != {"axes"} or axes.dtype != torch.float32 or not isinstance(fidelity, dict):
        raise FormatError("codec description is not a pca", ", ".join(sorted(tensors))[:80], "fit the codec again")
    if axes.ndim != 2 or tuple(axes.shape) != (width, dim) or not 1 <= axes.shape[0] <= axes.shape[1]:
        raise FormatError(
            f"codec tensor is not of shape ({str(width)[:20]}, {str(dim)[:20]})", f"axes: {tuple(axes.shape)}"
        )
    error = (axes @ axes.T - torch.eye(len(axes))).abs().max()
    if not bool(error < TOLERANCE):  # also where something is not a number
        raise FormatError("codec axes are not of unit length and at right angles", "axes", "fit the codec again")
    return Pca(axes, dict(fidelity))
