"""Embeddings to a few numbers and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from langfield.codec.autoencoder import Autoencoder, AutoencoderSettings, fit_autoencoder, load_autoencoder
from langfield.codec.codebook import Codebook, CodebookSettings, fit_codebook, load_codebook
from langfield.codec.identity import Identity, fit_identity, load_identity
from langfield.codec.pca import Pca, fit_pca, load_pca
from langfield.codec.two_stage import TwoStage, load_two_stage
from langfield.codec.types import Codec
from langfield.errors import FormatError

LOADERS: dict[str, Callable[[Mapping[str, Tensor], Mapping[str, Any]], Codec]] = {
    "autoencoder": load_autoencoder,
    "codebook": load_codebook,
    "identity": load_identity,
    "pca": load_pca,
    "two-stage": load_two_stage,
}
"""How each kind of codec is made from its file; a new codec adds its line here."""


def load_codec(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Codec:
    """Make a codec from `artefacts.read_tensors` of its file.

    Raises:
        FormatError: its kind is unknown, or its tensors do not fit its description.
    """
    kind = about.get("kind")
    if not isinstance(kind, str) or kind not in LOADERS:
        raise FormatError(
            f"unknown kind of codec {str(kind)[:40]!r}", f"known: {', '.join(LOADERS)}", "update langfield"
        )
    return LOADERS[kind](tensors, about)


__all__ = [
    "Autoencoder",
    "AutoencoderSettings",
    "Codebook",
    "CodebookSettings",
    "Codec",
    "Identity",
    "Pca",
    "TwoStage",
    "fit_autoencoder",
    "fit_codebook",
    "fit_identity",
    "fit_pca",
    "load_codec",
]
