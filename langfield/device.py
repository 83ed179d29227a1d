"""Where a run computes: the GPU where there is one that can, the CPU anywhere."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch

from langfield.errors import EnvironmentProblem
from langfield.progress import say
from langfield.raster.cuda_launch import launcher, require_driver

Device = Literal["auto", "cpu", "cuda"]
M = TypeVar("M")


@runtime_checkable
class Movable(Protocol):
    """A model that can compute elsewhere; it takes arrays and gives CPU tensors wherever it computes."""

    def to(self, device: torch.device) -> Any:
        """Compute there from now on."""
        ...


def model_device(wanted: Device) -> torch.device:
    """Give where networks run: torch's own GPU support is enough for them.

    Raises:
        EnvironmentProblem: "cuda" is wanted and torch sees no GPU.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem("torch sees no GPU", None, "see `nvidia-smi`, or choose device cpu")
    return torch.device("cuda", 0) if wanted != "cpu" and torch.cuda.is_available() else torch.device("cpu")


def raster_device(wanted: Device) -> torch.device:
    """Give where Gaussians are fitted and lifted; "auto" says why where a GPU is there and cannot be used.

    Raises:
        EnvironmentProblem: "cuda" is wanted, and GPU, driver, PyCUDA or nvcc is missing.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    try:
        require_driver()
        return torch.device("cuda", launcher(0).device)
    except EnvironmentProblem as problem:
        if wanted == "cuda":
            raise
        say(f"Gaussians are fitted on the CPU although there is a GPU: {problem}")
        return torch.device("cpu")


def moved(model: M, device: torch.device) -> M:
    """Give a model that computes on a device, where it can; others stay on the CPU."""
    if device.type != "cpu" and isinstance(model, Movable):
        model.to(device)
    return model
