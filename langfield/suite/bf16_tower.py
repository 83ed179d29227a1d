"""The torch tower in bfloat16: a third of the processor time where the processor has it (AMX, AVX512-BF16)."""

from __future__ import annotations

from pathlib import Path

import torch

from langfield import weights
from langfield.suite.onnx_tower import WEIGHTS, tower_provenance
from langfield.suite.torch_tower import TorchTower
from langfield.suite.vit import cast


class Bf16Tower(TorchTower):
    """ImageEncoder whose products are rounded to 8 bits of mantissa; cosine to the float32 tower 0.9997 and more.

    Args:
        path: the 8-bit ONNX file the weights are read back from.
    """

    name = "openai-vit-b16-bf16"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._vit = cast(self._vit, torch.bfloat16)
        self.provenance = tower_provenance(self.name, "bfloat16, weights read back from 8 bits")


def load() -> Bf16Tower:
    """Make the encoder from the weights store.

    Raises:
        EnvironmentProblem: the weights are not on this machine.
    """
    return Bf16Tower(weights.require(WEIGHTS))
