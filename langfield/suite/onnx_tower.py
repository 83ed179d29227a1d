"""OpenAI's CLIP ViT-B/16 image tower in 8 bits, run by onnxruntime: small, but the least faithful of the towers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langfield import weights
from langfield.errors import FormatError
from langfield.suite.preprocess import ABOUT, clip_pixels

WEIGHTS = "openai-vit-b16-int8"


class OnnxTower:
    """ImageEncoder over the 8-bit graph.

    Args:
        path: the ONNX file; its hash is what provenance states.
        threads: worker threads; 0 for onnxruntime's choice.
    """

    name = "openai-vit-b16-int8"
    dim = 512

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Without this, processors that lack VNNI add 8-bit products in 16 bits that overflow: cosine 0.5 to the truth.
        options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no common base class for its errors
            raise FormatError("not readable as an ONNX model", path, f"run: langfield weights get {WEIGHTS}") from error
        self.provenance: dict[str, Any] = tower_provenance(self.name, "onnxruntime, 8-bit weights and activations")

    def encode_images(self, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B 512"]:
        """Give one float32 unit vector per picture (RGB, any sizes)."""
        rows = [self._one(image) for image in images]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1) if rows else torch.zeros(0, self.dim)

    def _one(self, image: np.ndarray) -> Tensor:
        # One at a time: the graph quantises activations over the whole batch, so company would change the answer.
        (vector,) = self._session.run(["image_embeds"], {"pixel_values": clip_pixels([image]).numpy()})
        return torch.from_numpy(np.asarray(vector))[0]


def tower_provenance(name: str, how: str) -> dict[str, Any]:
    """Say what an encoder over these weights is made of."""
    row = weights.row(WEIGHTS)
    return {
        "name": name,
        "weights": row.name,
        "file": row.files[0].name,
        "sha256": row.files[0].sha256,
        "licence": row.licence,
        "model": "CLIP ViT-B/16 (OpenAI), image tower",
        "precision": how,
        "preprocessing": ABOUT,
    }


def load() -> OnnxTower:
    """Make the encoder from the weights store.

    Raises:
        EnvironmentProblem: the weights are not on this machine.
    """
    return OnnxTower(weights.require(WEIGHTS))
