"""The suite: images and texts to vectors, by name. Nothing falls back to another encoder by itself."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from langfield import weights
from langfield.errors import SettingsError
from langfield.suite.types import ImageEncoder, TextEncoder

VERSION = 1  # of the vectors made: raised whenever the same crops would give other vectors

# Name to the module whose load() makes it. "openclip:MODEL/TAG" is read by langfield.suite.openclip, and
# "MODULE:NAME" is anybody's own encoder: called without arguments, it gives one.
IMAGE_ENCODERS: dict[str, str] = {
    "openai-vit-b16-torch": "langfield.suite.torch_tower",
    "openai-vit-b16-bf16": "langfield.suite.bf16_tower",
    "openai-vit-b16-int8": "langfield.suite.onnx_tower",
}
TEXT_ENCODERS: dict[str, str] = {
    "bridge-minilm-b16": "langfield.suite.bridge",
}
DEFAULT_IMAGE_ENCODER = "openai-vit-b16-torch"
DEFAULT_TEXT_ENCODER = "bridge-minilm-b16"


def image_encoder(spec: str = DEFAULT_IMAGE_ENCODER) -> ImageEncoder:
    """Make an image encoder.

    Args:
        spec: a name of IMAGE_ENCODERS, "openclip:MODEL/TAG" such as "openclip:ViT-B-16/laion2b_s34b_b88k", or a
            model with changes as `langfield.suite.spec.clip_model` reads it.

    Raises:
        SettingsError: no such encoder.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
    """
    return _make(spec, IMAGE_ENCODERS, "image")


def text_encoder(spec: str = DEFAULT_TEXT_ENCODER) -> TextEncoder:
    """Make a text encoder.

    Args:
        spec: a name of TEXT_ENCODERS, "openclip:MODEL/TAG", or a model with changes such as
            "openclip:MODEL/TAG+weights:FILE" (`langfield.suite.spec.clip_model`).

    Raises:
        SettingsError: no such encoder.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
    """
    return _make(spec, TEXT_ENCODERS, "text")


def encoder_identity(spec: str) -> dict[str, Any]:
    """Say what decides the vectors of an image encoder, for content keys, without loading it."""
    known = weights.row("openai-vit-b16-int8").files[0].sha256 if spec in IMAGE_ENCODERS else None
    return {"encoder": spec, "weights": known, "version": VERSION}


def _make(spec: str, table: dict[str, str], kind: str) -> Any:
    from langfield.suite.spec import clip_model, is_model

    if is_model(spec):
        return clip_model(spec)
    if spec.startswith("openclip:"):
        return getattr(import_module("langfield.suite.openclip"), f"load_{kind}")(spec)
    module, _, name = spec.partition(":")
    if name and find_spec(module) is not None:
        return getattr(import_module(module), name)()
    if spec not in table:
        known = ", ".join([*table, "openclip:MODEL/TAG", "MODULE:NAME"])
        raise SettingsError(f"no {kind} encoder is called {spec!r}", remedy=f"choose one of: {known}")
    return import_module(table[spec]).load()
