"""What fitting any codec shares: vectors that can be learnt from."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError


def check_vectors(vectors: Float[Tensor, "M D"], what: str) -> Float[Tensor, "M D"]:
    """Give the vectors as float32 on the CPU, cut from any graph.

    Args:
        vectors: what a codec is fitted to.
        what: the codec, for the message, such as "an autoencoder".

    Raises:
        SettingsError: there are fewer than two, or some are not finite.
    """
    vectors = vectors.detach().float().cpu()
    if vectors.ndim != 2 or len(vectors) < 2 or not torch.isfinite(vectors).all():
        raise SettingsError(
            f"{what} needs at least two finite vectors", f"shape {tuple(vectors.shape)}", "add pictures"
        )
    return vectors
