"""The suite: images and texts to vectors, by name. Nothing falls back to another encoder by itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from langfield.errors import SettingsError
from langfield.suite.types import ImageEncoder, TextEncoder

# Name to the module whose load() makes it. "openclip:MODEL/TAG" is read by langfield.suite.openclip.
IMAGE_ENCODERS: dict[str, str] = {
    "openai-vit-b16-torch": "langfield.suite.torch_tower",
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
        spec: a name of IMAGE_ENCODERS, or "openclip:MODEL/TAG" such as "openclip:ViT-B-16/laion2b_s34b_b88k".

    Raises:
        SettingsError: no such encoder.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
    """
    return _make(spec, IMAGE_ENCODERS, "image")


def text_encoder(spec: str = DEFAULT_TEXT_ENCODER) -> TextEncoder:
    """Make a text encoder.

    Args:
        spec: a name of TEXT_ENCODERS, or "openclip:MODEL/TAG".

    Raises:
        SettingsError: no such encoder.
        EnvironmentProblem: its weights are not on this machine and cannot be had.
    """
    return _make(spec, TEXT_ENCODERS, "text")


def _make(spec: str, table: dict[str, str], kind: str) -> Any:
    if spec.startswith("openclip:"):
        return getattr(import_module("langfield.suite.openclip"), f"load_{kind}")(spec)
    if spec not in table:
        known = ", ".join([*table, "openclip:MODEL/TAG"])
        raise SettingsError(f"no {kind} encoder is called {spec!r}", remedy=f"choose one of: {known}")
    return import_module(table[spec]).load()
