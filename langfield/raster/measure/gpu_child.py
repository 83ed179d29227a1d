"""What the GPU checks run in processes of their own: `python -m langfield.raster.measure.gpu_child TASK DEVICE [DIR]`.

A task that fails raises; the parent looks at the exit code and at standard error.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from langfield.raster import cuda_launch
from langfield.raster.measure.bench import random_scene
from langfield.raster.screen import rasterize
from langfield.raster.types import Gaussians


def picture(device: torch.device, n: int = 2000, size_px: int = 128) -> tuple[Tensor, list[Tensor]]:
    """Draw a seeded scene with four channels and send ones back.

    Returns:
        colour and channels side by side [H, W, 7]; gradients of the five Gaussian tensors.
    """
    scene, camera = random_scene(n, size_px, size_px)
    leaves = [t.to(device).requires_grad_() for t in scene.tensors()]
    channels = torch.randn(n, 4, generator=torch.Generator().manual_seed(1)).to(device)
    view = rasterize(Gaussians(*leaves), camera, channels)
    assert view.colour is not None and view.channels is not None  # noqa: S101, PT018
    drawn = torch.cat([view.colour, view.channels], -1)
    (drawn.sum() + view.depth.sum()).backward()
    return drawn.detach(), [leaf.grad for leaf in leaves if leaf.grad is not None]


class _DrawsInBackward(torch.autograd.Function):
    """Touches the device for the first time on the way back."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, device: torch.device) -> Tensor:
        ctx.device = device
        return value * 1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        with torch.enable_grad():
            drawn, gradients = picture(ctx.device)
        healthy = all(bool(t.isfinite().all()) and bool(t.any()) for t in (drawn, *gradients))
        return grads[0] * (1.0 if healthy else float("nan")), None


def first_in_backward(device: torch.device) -> None:
    """Make the process's first CUDA call inside a backward pass, in a thread that is not the main one."""
    found: list[Tensor] = []

    def backward() -> None:
        leaf = torch.ones(1, requires_grad=True)
        _DrawsInBackward.apply(leaf, device).sum().backward()  # type: ignore[union-attr]
        found.append(leaf.grad if leaf.grad is not None else torch.zeros(1))

    thread = threading.Thread(target=backward)
    thread.start()
    thread.join()
    if len(found) != 1 or float(found[0]) != 1.0:
        raise SystemExit("the picture drawn in backward is empty or not finite")


def draw(device: torch.device) -> None:
    """Draw forward and backward, and leave as any program leaves."""
    drawn, gradients = picture(device)
    if not all(bool(t.isfinite().all()) and bool(t.any()) for t in (drawn, *gradients)):
        raise SystemExit("the picture is empty or not finite")


def load(device: torch.device, folder: Path) -> None:
    """Compile the kernels into a cache folder and load them."""
    cuda_launch.load(device.index or 0, folder).close()


def main(arguments: list[str]) -> None:
    """Run one task."""
    task, device = arguments[0], torch.device(arguments[1])
    if task == "load":
        load(device, Path(arguments[2]))
    else:
        {"first_in_backward": first_in_backward, "draw": draw}[task](device)


if __name__ == "__main__":
    main(sys.argv[1:])
