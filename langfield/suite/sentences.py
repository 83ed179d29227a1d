"""Sentence encoders by name: whole sentences to unit vectors, in a space of their own (not CLIP's)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from langfield import weights
from langfield.errors import SettingsError
from langfield.suite import minilm


class SentenceEncoder(Protocol):
    """Sentences to unit vectors; what is searched and what is searched for may be encoded differently."""

    name: str
    """Spec string that makes it again, such as "minilm-l6"."""
    dim: int
    """Width D of its vectors."""
    provenance: dict[str, Any]
    """Weights, hash or commit, licence: stored in the run and shown with answers."""

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per caption."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per question about captions."""
        ...


# Name to the module whose load_sentences(what stands behind the colon) makes it.
SENTENCE_ENCODERS: dict[str, str] = {
    "minilm-l6": "langfield.suite.sentences",
    "e5-mistral": "langfield.suite.e5_mistral",
}
DEFAULT_SENTENCE_ENCODER = "minilm-l6"


def sentence_encoder(spec: str = DEFAULT_SENTENCE_ENCODER) -> SentenceEncoder:
    """Make a sentence encoder.

    Args:
        spec: "minilm-l6", "e5-mistral" (from the hub, 14 GB) or "e5-mistral:FOLDER".

    Raises:
        SettingsError: no such encoder.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
    """
    name, _, where = spec.partition(":")
    if name not in SENTENCE_ENCODERS:
        known = ", ".join([*SENTENCE_ENCODERS, "e5-mistral:FOLDER"])
        raise SettingsError(f"no sentence encoder is called {spec!r}", remedy=f"choose one of: {known}")
    return import_module(SENTENCE_ENCODERS[name]).load_sentences(where)


class MiniLmSentences:
    """MiniLM as a sentence encoder: captions and questions alike."""

    name, dim = "minilm-l6", minilm.MiniLM.dim

    def __init__(self, model: minilm.MiniLM) -> None:
        self._model = model
        row = weights.row(minilm.WEIGHTS)
        self.provenance: dict[str, Any] = {
            "name": self.name, "sha256": row.files[0].sha256, "licence": row.licence, "max_tokens": minilm.MAX_TOKENS,
        }  # fmt: skip

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B 384"]:
        """Give one float32 unit vector per caption."""
        return self._model.encode(texts)

    def encode_queries(self, texts: Sequence[str]) -> Float[Tensor, "B 384"]:
        """Give one float32 unit vector per question."""
        return self._model.encode(texts)


def load_sentences(where: str = "") -> MiniLmSentences:
    """Make MiniLM from the weights store.

    Raises:
        SettingsError: a place is given; its weights lie in the store.
        EnvironmentProblem: the weights are not on this machine.
    """
    if where:
        raise SettingsError("minilm-l6 takes no folder", where, "run: langfield weights get minilm-l6")
    return MiniLmSentences(minilm.load())
