"""What the rasterizer is measured against: plain torch, and a straightforward pixel loop in C++ with OpenMP."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import subprocess
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from langfield.artefacts import atomic_path
from langfield.capture.types import Camera
from langfield.errors import EnvironmentProblem
from langfield.raster import build, ops
from langfield.raster.dispatch import pinhole_of
from langfield.raster.reference import sh_degree_of
from langfield.raster.types import Gaussians, RasterOptions, View

FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fPIC", "-shared")
SOURCE = "peer_pixel_loop.cpp"


@functools.cache
def library() -> ctypes.CDLL:
    """Give the compiled pixel loop.

    Raises:
        EnvironmentProblem: there is no C++ compiler, or it has no OpenMP.
    """
    cxx = build.compiler()
    if cxx is None:
        raise EnvironmentProblem("the pixel-loop peer needs a C++ compiler and none was found", None, build.REMEDY)
    source = build.source_folder() / SOURCE
    key = hashlib.sha256("\0".join([cxx, *FLAGS, source.read_text(), _processor()]).encode()).hexdigest()[:32]
    path = build.cache_folder() / f"peer-{key}.so"
    if not path.is_file():
        with atomic_path(path) as temporary:
            command = [cxx, *FLAGS, str(source), "-o", str(temporary)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode:
                raise EnvironmentProblem(f"the pixel-loop peer does not compile: {done.stderr[-300:]}", cxx)
    loaded = ctypes.CDLL(str(path))
    loaded.peer_forward.restype = ctypes.c_void_p
    return loaded


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _pass(*values: Tensor | int) -> list[Any]:
    return [ctypes.c_void_p(v.data_ptr()) if isinstance(v, Tensor) else ctypes.c_int64(v) for v in values]


class _State:
    """What the forward pass left for the backward pass, freed with this object."""

    def __init__(self, handle: int) -> None:
        self.pointer = ctypes.c_void_p(handle)
        weakref.finalize(self, library().peer_free, self.pointer)


class _PixelLoop(torch.autograd.Function):
    """Blend means2d, conics, opacities and features [N, F]: pixels [H, W, F] and what still passes [H, W]."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> tuple[Tensor, Tensor]:
        means2d, conics, opacities, features, radii, order, size = args
        width, height = size
        threads, (n, F) = torch.get_num_threads(), features.shape
        drawn, through = torch.zeros(height, width, F), torch.ones(height, width)
        ctx.inputs = means2d.detach(), conics.detach(), opacities.detach(), features.detach(), radii, order
        ctx.state = _State(library().peer_forward(*_pass(*ctx.inputs, n, F, width, height, threads, drawn, through)))
        ctx.through = through
        return drawn, through.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        v_drawn, v_through = (g.contiguous() for g in grads)
        threads, (n, F) = torch.get_num_threads(), ctx.inputs[3].shape
        v = torch.zeros(threads, n, 6 + F)
        library().peer_backward(ctx.state.pointer, *_pass(threads, ctx.through, v_drawn, v_through, v))
        return v[0, :, :2], v[0, :, 2:5], v[0, :, 5], v[0, :, 6:], None, None, None


def pixel_loop(gaussians: Gaussians, camera: Camera, channels: Tensor | None = None) -> View:
    """Draw as `rasterize` does, by looping over Gaussians and the pixels of their boxes; projection is ours.

    Raises:
        EnvironmentProblem: the peer cannot be compiled here.
    """
    pin, options = pinhole_of(camera, torch.float32), RasterOptions()
    lens = (list(pin.intrinsics), pin.width, pin.height, sh_degree_of(gaussians, options), options.near)
    means2d, conics, depths, opacities, colours, radii = ops.project(
        *gaussians.tensors(), pin.viewmat, *lens, options.blur_px2
    )
    features = torch.cat([colours, depths[:, None]] + ([] if channels is None else [channels]), 1)
    order = torch.argsort(depths.detach(), stable=True).to(torch.int32)
    size = pin.width, pin.height
    drawn, through = _PixelLoop.apply(means2d, conics, opacities, features, radii, order, size)  # type: ignore[misc]
    rest = None if channels is None else drawn[..., 4:]
    return View(1 - through, drawn[..., 3], drawn[..., :3], rest, means2d, radii)
