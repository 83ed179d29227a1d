"""The rasterizer's operators for torch: schema, shapes without running (fake), and gradients.

Three operators in a row draw a view: `project` (Gaussians to splats), `bin_tiles` (which splat touches which tile)
and `blend` (splats and channels to pixels). Only the first and the last are differentiable.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from langfield.raster import cpu, cuda, cuda_launch

_LENS = "float[] intrinsics, int width, int height, int sh_degree, float near, float blur_px2"
_SCENE = "Tensor means, Tensor quats, Tensor log_scales, Tensor logit_opacities, Tensor? sh, Tensor viewmat"
_SPLATS = "Tensor means2d, Tensor conics, Tensor opacities, Tensor colours, Tensor depths, Tensor? channels"
_TILES = "Tensor first, Tensor start, Tensor gaussian, Tensor slot, Tensor radii"
_SIX = "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"


def _lens(lens: tuple[Any, ...]) -> cpu.Lens:
    return cpu.Lens(tuple(lens[0]), *lens[1:])


def _launcher(on: Tensor) -> cuda_launch.Launcher:
    return cuda_launch.launcher(on.device.index)


def _dense(tensors: tuple[Tensor | None, ...]) -> list[Any]:
    """Give contiguous tensors, because the kernels walk memory in a straight line."""
    return [None if t is None else t.contiguous() for t in tensors]


@torch.library.custom_op(
    "langfield::project",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_SCENE}, {_LENS}) -> {_SIX}",
)
def project(*args: Any) -> tuple[Tensor, ...]:
    """Give means2d, conics, depths, opacities, colours and radii; see `cpu.project`."""
    *scene, viewmat = _dense(args[:6])
    return tuple(cpu.project(tuple(scene), viewmat, _lens(args[6:])))


@project.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    *scene, viewmat = _dense(args[:6])
    return tuple(cuda.project(_launcher(args[0]), tuple(scene), viewmat, _lens(args[6:])))


@project.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    means, n = args[0], args[0].shape[0]
    floats = [means.new_empty(shape) for shape in ((n, 2), (n, 3), (n,), (n,), (n, 3))]
    return (*floats, means.new_empty((n, 2), dtype=torch.int32))


@torch.library.custom_op(
    "langfield::project_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_SCENE}, {_LENS}, Tensor radii, Tensor[] grads) -> {_SIX}",
)
def project_backward(*args: Any) -> tuple[Tensor, ...]:
    """Give the gradients by `project`'s six tensors; the fifth is empty where there is no sh."""
    *scene, viewmat = _dense(args[:6])
    grads = _dense(tuple(args[13]))
    return tuple(cpu.project_backward(tuple(scene), viewmat, _lens(args[6:12]), args[12], grads))


@project_backward.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    *scene, viewmat = _dense(args[:6])
    view, grads = (viewmat, _lens(args[6:12])), _dense(tuple(args[13]))
    return tuple(cuda.project_backward(_launcher(args[0]), tuple(scene), view, args[12], grads))


@project_backward.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    return tuple(args[0].new_empty(0) if t is None else torch.empty_like(t) for t in args[:6])


def _keep_scene(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:6], output[5])
    ctx.lens = inputs[6:]


def _through_project(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
    *scene, radii = ctx.saved_tensors
    out = list(project_backward(*scene, *ctx.lens, radii, list(grads[:5])))
    if scene[4] is None:
        out[4] = None
    return (*out, *(None for _ in ctx.lens))


project.register_autograd(_through_project, setup_context=_keep_scene)


@torch.library.custom_op(
    "langfield::bin_tiles",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor means2d, Tensor conics, Tensor opacities, Tensor depths, Tensor radii, int width, int height)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)
def bin_tiles(*args: Any) -> tuple[Tensor, ...]:
    """Give first, start, gaussian and slot of `cpu.Tiles`."""
    tiles = cpu.bin_tiles(_dense(args[:5]), args[5:7])
    return tiles.first, tiles.start, tiles.gaussian, tiles.slot


@bin_tiles.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    tiles = cuda.bin_tiles(_launcher(args[0]), _dense(args[:5]), args[5:7])
    return tiles.first, tiles.start, tiles.gaussian, tiles.slot


@bin_tiles.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    means2d, _, _, _, radii, width, height = args
    entries = torch.library.get_ctx().new_dynamic_size()
    tiles = -(-width // 16) * -(-height // 16)
    lists = [radii.new_empty(shape) for shape in (tiles + 1, entries, entries)]
    return (means2d.new_empty(means2d.shape[0] + 1, dtype=torch.int64), *lists)


@torch.library.custom_op(
    "langfield::blend",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_SPLATS}, {_TILES}, int width, int height, bool smooth) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def blend(*args: Any) -> tuple[Tensor, ...]:
    """Give colour, depth, transmittance, channels (C = 0 where None) and last; see `cpu.blend`."""
    *splats, channels = _dense(args[:6])
    width, height, smooth = args[11:]
    return tuple(cpu.blend(splats, channels, cpu.Tiles(*args[6:11]), (width, height), smooth))


@blend.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    *splats, channels = _dense(args[:6])
    width, height, smooth = args[11:]
    tiles = cpu.Tiles(*args[6:11])
    return tuple(cuda.blend(_launcher(args[0]), splats, channels, tiles, (width, height), smooth))


@blend.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    width, height = args[11:13]
    many = 0 if args[5] is None else args[5].shape[1]
    shapes = ((height, width, 3), (height, width), (height, width), (height, width, many))
    return (*(args[0].new_empty(s) for s in shapes), args[0].new_empty((height, width), dtype=torch.int32))


@torch.library.custom_op(
    "langfield::blend_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_SPLATS}, {_TILES}, Tensor transmittance, Tensor last, Tensor[] grads, bool smooth, bool geometry)"
    f" -> {_SIX}",
)
def blend_backward(*args: Any) -> tuple[Tensor, ...]:
    """Give the gradients by `blend`'s five splat tensors and channels; see `cpu.blend_backward`."""
    *splats, channels = _dense(args[:6])
    grads = _dense(tuple(args[13]))
    return tuple(cpu.blend_backward(splats, channels, cpu.Tiles(*args[6:11]), args[11:13], grads, args[14:16]))


@blend_backward.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    *splats, channels = _dense(args[:6])
    blended, grads = (splats, channels, cpu.Tiles(*args[6:11])), _dense(tuple(args[13]))
    return tuple(cuda.blend_backward(_launcher(args[0]), blended, args[11:13], grads, args[14:16]))


@blend_backward.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    n = args[0].shape[0]
    return tuple(args[0].new_empty((n, 0)) if t is None else torch.empty_like(t) for t in args[:6])


def _keep_splats(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs[:11], output[2], output[4])
    ctx.smooth = inputs[13]


def _through_blend(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
    *inputs, transmittance, last = ctx.saved_tensors
    geometry = any(ctx.needs_input_grad[:3])
    out = list(blend_backward(*inputs, transmittance, last, list(grads[:4]), ctx.smooth, geometry))
    if inputs[5] is None:
        out[5] = None
    return (*out, *(None for _ in range(8)))


blend.register_autograd(_through_blend, setup_context=_keep_splats)


@torch.library.custom_op(
    "langfield::ssim", mutates_args=(), device_types="cpu", schema="(Tensor a, Tensor b) -> (Tensor, Tensor)"
)
def ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean structural similarity and its gradient by `a` (the second output, not differentiable)."""
    return cpu.ssim(a.contiguous(), b.contiguous())


@ssim.register_fake
def _(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    return a.new_empty(()), torch.empty_like(a)


def _keep_slope(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG001
    ctx.save_for_backward(output[1])


def _through_ssim(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
    return grad * ctx.saved_tensors[0], None


ssim.register_autograd(_through_ssim, setup_context=_keep_slope)
