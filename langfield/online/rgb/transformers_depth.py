"""Depth estimators of transformers, on this machine: Depth Anything V2, MiDaS / DPT, ZoeDepth, GLPN, Depth Pro."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn.functional import interpolate

from langfield.errors import FormatError
from langfield.online.rgb.model import Kind
from langfield.weights.pretrained import ModelKind, load_pretrained

REMEDY = "give a folder that holds a depth estimator, or use --points"
KIND = ModelKind("depth estimator", "AutoImageProcessor", "AutoModelForDepthEstimation", REMEDY)
METRIC = ("zoedepth", "glpn", "depth_pro", "prompt_depth_anything")
RELATIVE = ("dpt", "depth_anything")
"""Model types, where the model's own settings do not say what it gives."""


class TransformersDepth:
    """A depth estimator with its processor; see `langfield.online.rgb.model.DepthModel`.

    Args:
        name: where it came from, for the manifest.
        model: gives `predicted_depth`.
        processor: its image processor.
        version: what tells these weights from others of the same name.

    Raises:
        FormatError: it is not known whether the model gives metres.
    """

    def __init__(self, name: str, model: Any, processor: Any, version: str = "") -> None:
        self.kind: Kind = kind_of(model.config, name)
        self._model, self._processor = model.eval().float(), processor
        self.provenance: dict[str, Any] = {
            "depth_model": name, "kind": self.kind, "weights": version, "licence": "see the model's card",
        }  # fmt: skip

    @torch.inference_mode()
    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """Give metres or inverse depth at every pixel, float32."""
        inputs = self._processor(images=image, return_tensors="pt", input_data_format="channels_last")
        seen = self._model(pixel_values=inputs["pixel_values"].float()).predicted_depth
        seen = seen.reshape(1, 1, *seen.shape[-2:]).float()
        return interpolate(seen, image.shape[:2], mode="bilinear", align_corners=False)[0, 0].numpy()


def kind_of(config: Any, name: str) -> Kind:
    """Say what a model gives, by its settings or its type.

    Raises:
        FormatError: neither says.
    """
    said, kind = getattr(config, "depth_estimation_type", None), str(getattr(config, "model_type", ""))
    if said in ("metric", "relative"):
        return said
    if kind in METRIC or kind in RELATIVE:
        return "metric" if kind in METRIC else "relative"
    raise FormatError(f"it is not known whether a {kind!r} gives metres", name, REMEDY)


def load(where: str) -> TransformersDepth:
    """Make a depth model.

    Args:
        where: a folder, or a model's name on the hub with or without "@REVISION".

    Raises:
        EnvironmentProblem: the hub cannot be reached and the model is not in its cache.
        FormatError: what is there is no depth estimator that transformers knows.
    """
    found = load_pretrained(where, KIND)
    return TransformersDepth(found.name, found.model, found.processor, found.version)
