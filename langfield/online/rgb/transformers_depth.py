"""Depth estimators of transformers, on this machine: Depth Anything V2, MiDaS / DPT, ZoeDepth, GLPN, Depth Pro."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn.functional import interpolate

from langfield.errors import EnvironmentProblem, FormatError
from langfield.online.rgb.model import Kind
from langfield.weights.hub import check_reachable, in_cache, weights_version

REMEDY = "give a folder that holds a depth estimator, or use --points"
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
    name, _, revision = where.partition("@")
    local = Path(where).is_dir()
    if not local and not in_cache(name, revision or None):
        from huggingface_hub import constants

        check_reachable(constants.ENDPOINT, name, REMEDY)
    from safetensors import SafetensorError
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    source: dict[str, Any] = {"pretrained_model_name_or_path": where if local else name, "trust_remote_code": False}
    source |= {} if local else {"revision": revision or None}
    try:
        processor: Any = AutoImageProcessor.from_pretrained(**source)
        model: Any = AutoModelForDepthEstimation.from_pretrained(**source, use_safetensors=True)
    except (ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise FormatError(f"no depth estimator: {str(error).splitlines()[0][:200]}", where, REMEDY) from error
    except OSError as error:
        raise EnvironmentProblem(f"{where} cannot be had: {str(error).splitlines()[0][:200]}", None, REMEDY) from error
    return TransformersDepth(
        Path(where).name if local else name, model, processor, weights_version(Path(where), model, local)
    )
