"""The rasterizer drawn by the emulated CUDA kernels, differentiable like the real one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster import Gaussians, RasterOptions, View, cuda, reference
from langfield.raster.cpu import Lens
from langfield.raster.cuda_launch import Launcher
from langfield.raster.dispatch import pinhole_of
from tests.raster.emulated.emulated import EmulatedLauncher
from tests.raster.scenes import Drawn, draw_with_gradients


@functools.cache
def emulated(seed: int = 0, checked: bool = False) -> EmulatedLauncher:
    """Give a launcher of all kernels, compiled once."""
    return EmulatedLauncher(seed=seed, checked=checked)


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, launch: Launcher, lens: Lens, *inputs: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *scene, viewmat = inputs
        out = cuda.project(launch, tuple(scene), viewmat, lens)  # type: ignore[arg-type]
        ctx.launch, ctx.lens = launch, lens
        ctx.save_for_backward(*inputs, out[5])
        ctx.mark_non_differentiable(out[5])
        return tuple(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *scene, viewmat, radii = ctx.saved_tensors
        dense = [g.contiguous() for g in grads[:5]]
        out: list[Any] = cuda.project_backward(ctx.launch, tuple(scene), (viewmat, ctx.lens), radii, dense)  # type: ignore[arg-type]
        return None, None, *(out if scene[4] is not None else [*out[:4], None, out[5]])


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, launch: Launcher, tiles: Any, how: tuple[Any, bool], *inputs: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *splats, channels = inputs
        out = cuda.blend(launch, splats, channels, tiles, *how)
        ctx.launch, ctx.tiles, ctx.smooth = launch, tiles, how[1]
        ctx.save_for_backward(*inputs, out[2], out[4])
        ctx.mark_non_differentiable(out[4])
        return tuple(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        *splats, channels, through, last = ctx.saved_tensors
        blended, how = (splats, channels, ctx.tiles), (ctx.smooth, any(ctx.needs_input_grad[3:6]))
        dense = [g.contiguous() for g in grads[:4]]
        out: list[Any] = cuda.blend_backward(ctx.launch, blended, (through, last), dense, how)
        return None, None, None, *(out if channels is not None else [*out[:5], None])


def drawer(launch: Launcher) -> Callable[..., View]:
    """Give a function with the arguments of `rasterize` that draws through a launcher."""

    def draw(
        gaussians: Gaussians,
        camera: Camera,
        channels: Tensor | None = None,
        options: RasterOptions | None = None,
        backend: str | None = None,
    ) -> View:
        options = options or RasterOptions()
        pin = pinhole_of(camera, torch.float32)
        degree = reference.sh_degree_of(gaussians, options)
        lens = Lens(pin.intrinsics, pin.width, pin.height, degree, options.near, options.blur_px2)
        *geometry, sh = gaussians.tensors()
        scene = [t.contiguous() for t in geometry]
        means2d, conics, depths, opacities, colours, radii = _Project.apply(
            launch, lens, *scene, sh.contiguous() if options.colour else None, pin.viewmat.contiguous()
        )  # type: ignore[misc]
        size = (pin.width, pin.height)
        splats = [t.detach() for t in (means2d, conics, opacities, depths)]
        tiles = cuda.bin_tiles(launch, [*splats, radii], size)
        inputs = (means2d, conics, opacities, colours, depths, channels)
        colour, depth, through, drawn, _ = _Blend.apply(launch, tiles, (size, options.smooth_cutoff), *inputs)  # type: ignore[misc]
        shown = colour if options.colour else None
        return View(1 - through, depth, shown, None if channels is None else drawn, means2d, radii)

    return draw


def draw_emulated(
    scene: Gaussians, cam: Camera, chans: Tensor, options: RasterOptions | None = None, seed: int = 0
) -> Drawn:
    """Draw and send a gradient back, as `draw_with_gradients` does, through the emulated kernels."""
    return draw_with_gradients(scene, cam, chans, options, draw=drawer(emulated(seed)))
