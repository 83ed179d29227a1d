"""The vocabulary-anchored text bridge: MiniLM and a table of real CLIP word vectors, to CLIP ViT-B/16's text space.

It stands in where no CLIP text tower can be had. A text's vector is the mean of the vectors of its words and phrases
plus a kernel regression of what that mean misses, learned from names whose real vectors are known; see the card in
text_bridge/README.md for what it is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from langfield.artefacts import file_key, read_tensors
from langfield.errors import EnvironmentProblem, FormatError, QueryError
from langfield.suite.bridge_words import FEATURES, FLAGS, Lexicon, text_features
from langfield.suite.tables import plain_name, spoken_name

FOLDER = Path(__file__).with_name("text_bridge")
FILE = "bridge.safetensors"


class SentenceEncoder(Protocol):
    """What the bridge needs of MiniLM."""

    def encode(self, texts: Sequence[str]) -> Float[Tensor, "B 384"]:
        """Give one unit vector per text."""
        ...


@dataclass(frozen=True)
class Shape:
    """Settings of the regression."""

    scales: tuple[float, ...] = (1.4, 1.0, 0.6, 0.8, 0.15, 0.8)
    """Weight of the mean, last, first and hint vectors, of the flags, and of the sentence vector in the distance."""
    width: float = 4.0
    """Kernel width: mean squared distances between training rows at which the kernel has fallen to 1/e."""
    noise: float = 0.15
    """Variance of a training row of weight 1, relative to the kernel's."""
    sharpness: float = 1.5
    """Distance of a text's vector from the mean text vector, relative to that of real ones (see `place`)."""
    table_rank: int = 320
    """Dimensions kept of the word table."""


@dataclass(frozen=True)
class Regression:
    """The kernel regression's memory."""

    inputs: Float32[np.ndarray, "S F"]
    gains: Float32[np.ndarray, "S D"]
    inverse_width: float

    def __call__(self, queries: Float32[np.ndarray, "B F"]) -> Float32[np.ndarray, "B D"]:
        """Give the correction of each query."""
        return np.exp(-self.inverse_width * squared_distances(queries, self.inputs)) @ self.gains


def squared_distances(a: Float32[np.ndarray, "A F"], b: Float32[np.ndarray, "B F"]) -> Float32[np.ndarray, "A B"]:
    """Give all squared distances between two sets of rows."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


def regression_inputs(
    rows: Sequence[tuple[str, str | None]], sentences: Float32[np.ndarray, "B 384"], lexicon: Lexicon, shape: Shape
) -> tuple[Float32[np.ndarray, "B F"], Float32[np.ndarray, "B D"]]:
    """Give the regression's inputs and the mean word vectors of texts.

    Args:
        rows: text, and the phrase that must not be looked up (None at run time).
        sentences: their sentence vectors.
        lexicon: words and phrases.
        shape: scales of the distance.
    """
    width = lexicon.vectors.shape[1]
    pairs = [text_features(text, lexicon, skip) for text, skip in rows]
    words = np.stack([p[0] for p in pairs]) if pairs else np.zeros((0, FEATURES, width), np.float32)
    flags = np.stack([p[1] for p in pairs]) if pairs else np.zeros((0, FLAGS), np.float32)
    scaled = words * np.array(shape.scales[:FEATURES], np.float32)[:, None]
    parts = [scaled.reshape(len(rows), -1), shape.scales[4] * flags, shape.scales[5] * sentences]
    return np.concatenate(parts, 1).astype(np.float32), words[:, 0]


class TextBridge:
    """TextEncoder from words, phrases and sentences to CLIP ViT-B/16's text space.

    Args:
        folder: where `bridge.safetensors` lies.
        sentences: MiniLM, or anything alike.
    """

    name = "bridge-minilm-b16"

    def __init__(self, folder: Path, sentences: SentenceEncoder) -> None:
        path = folder / FILE
        tensors, about = read_tensors(path)
        self._sentences = sentences
        try:
            self._unpack({k: t.numpy() for k, t in tensors.items()}, about)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"not a text bridge: {error!r}", path, "train it: langfield weights bridge") from error
        self.provenance: dict[str, Any] = {
            "name": self.name, "weights": "text_bridge and minilm-l6", "file": FILE, "sha256": file_key(path),
            "licence": about.get("licence", "see its card"), "preprocessing": "lower case, no template",
            "note": "not CLIP's text tower", "trained": about.get("trained", {}),
        }  # fmt: skip

    def _unpack(self, t: dict[str, np.ndarray], about: dict[str, Any]) -> None:
        self.about = about
        stated = about["shape"]
        shape = replace(Shape(**stated), scales=tuple(float(scale) for scale in stated["scales"]))
        self._shape = shape
        self._mean = t["mean"].astype(np.float32)
        self._radius = float(about["radius"])
        self.dim = len(self._mean)
        vectors = (t["table"].astype(np.float32) * t["table_scale"].astype(np.float32)[:, None]) @ t["basis"].astype(
            np.float32
        )
        self._lexicon = Lexicon(_index(t["table_names"], len(vectors)), vectors)
        self._anchor_rows = _index(t["anchor_names"], len(t["anchors"]))
        self._anchors = t["anchors"].astype(np.float32)
        texts, skips = _texts(t["support_names"]), _texts(t["support_skips"])
        rows = [(text, skip or None) for text, skip in zip(texts, skips, strict=True)]
        inputs, _ = regression_inputs(rows, t["support_sentences"].astype(np.float32), self._lexicon, shape)
        self._correction = Regression(inputs, t["gains"].astype(np.float32), float(about["inverse_width"]))

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per text.

        Raises:
            QueryError: a text has no word in it.
        """
        for text in texts:
            if not any(c.isalnum() for c in text):
                raise QueryError(f"text {text!r} has no word in it", remedy="name a thing")
        if not texts:
            return torch.zeros(0, self.dim)
        sentences = self._sentences.encode([spoken_name(t) for t in texts]).numpy()
        inputs, words = regression_inputs([(t, None) for t in texts], sentences, self._lexicon, self._shape)
        differences = words + self._correction(inputs)
        for i, text in enumerate(texts):
            anchor = self._anchor_rows.get(plain_name(text)) if "(" not in text else None
            if anchor is not None:
                differences[i] = self._anchors[anchor]
        return torch.from_numpy(place(differences, self._mean, self._radius * self._shape.sharpness))


def place(
    differences: Float32[np.ndarray, "B D"], mean: Float32[np.ndarray, " D"], radius: float
) -> Float32[np.ndarray, "B D"]:
    """Turn differences from the mean text vector into unit vectors.

    A regression shrinks what it is unsure of towards the mean, and a shrunk vector is near to every name. So all are
    put at one distance from the mean; one greater than real vectors have weakens the part that all texts share.

    Args:
        differences: any length.
        mean: mean of real unit text vectors, itself shorter than 1.
        radius: distance from `mean` before normalising.
    """
    length = np.maximum(np.linalg.norm(differences, axis=1, keepdims=True), 1e-6)
    placed = mean + radius * differences / length
    return (placed / np.linalg.norm(placed, axis=1, keepdims=True)).astype(np.float32)


def pack_texts(texts: Sequence[str]) -> np.ndarray:
    """Give texts as bytes, one a line; they hold no line breaks."""
    return np.frombuffer("\n".join(texts).encode(), np.uint8).copy()


def _texts(data: np.ndarray) -> list[str]:
    return data.tobytes().decode().split("\n")


def _index(data: np.ndarray, count: int) -> dict[str, int]:
    names = _texts(data)
    if len(names) != count:
        raise ValueError(f"{len(names)} names for {count} vectors")
    return {name: i for i, name in enumerate(names)}


def load(folder: Path = FOLDER) -> TextBridge:
    """Make the encoder from the artefact of this checkout and MiniLM from the weights store.

    Raises:
        EnvironmentProblem: the artefact (which a wheel does not carry) or MiniLM is not on this machine.
    """
    from langfield.suite.minilm import load as load_minilm

    if not (folder / FILE).is_file():
        raise EnvironmentProblem(
            "the text bridge is not part of an installed wheel",
            folder / FILE,
            "copy langfield/suite/text_bridge from a checkout there, or run: langfield weights bridge",
        )
    return TextBridge(folder, load_minilm())
