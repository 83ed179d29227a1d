"""The questions to a view as operators of torch: schema, shapes without running (fake), gradients where there are any.

The first nine arguments of each are the same: the splats as the backend packs them, five tensors of the tile lists,
width, height and the smooth cut-off. Geometry is a constant to all of them; `splat_codes` is differentiable by its
weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from langfield.raster import cpu_contributions as cpu
from langfield.raster import cuda_contributions as cuda
from langfield.raster import cuda_launch
from langfield.raster.cpu import Tiles

_WALK = (
    "Tensor packed, Tensor first, Tensor start, Tensor gaussian, Tensor slot, Tensor radii,"
    " int width, int height, bool smooth"
)
_ARGUMENTS = 9


def _walk(args: tuple[Any, ...]) -> cpu.Walk:
    return cpu.Walk(args[0], Tiles(*args[1:6]), (args[6], args[7]), args[8])


def _launcher(args: tuple[Any, ...]) -> cuda_launch.Launcher:
    return cuda_launch.launcher(args[0].device.index)


def _picture(args: tuple[Any, ...], many: int) -> Tensor:
    return args[0].new_empty((args[7], args[6], many))


@torch.library.custom_op(
    "langfield::scatter_segments",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_WALK}, Tensor segments, float coverage, float floor)"
    " -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def scatter_segments(*args: Any) -> tuple[Tensor, ...]:
    """Give gaussian, level, segment, weight, weight_all and total; segments are int32 [L, H, W]."""
    return cpu.scatter(_walk(args), args[9].contiguous(), args[10], args[11])


@scatter_segments.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    return cuda.scatter(_launcher(args), _walk(args), args[9].contiguous(), (args[10], args[11]))


@scatter_segments.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    pairs = torch.library.get_ctx().new_dynamic_size()
    kinds = torch.int64, torch.int32, torch.int32, args[0].dtype, args[0].dtype
    return (*(args[0].new_empty(pairs, dtype=kind) for kind in kinds), args[0].new_empty(args[0].shape[0]))


@torch.library.custom_op(
    "langfield::top_contributors", mutates_args=(), device_types="cpu", schema=f"({_WALK}, int k) -> (Tensor, Tensor)"
)
def top_contributors(*args: Any) -> tuple[Tensor, ...]:
    """Give ids int32 [H, W, k] and weights [H, W, k]."""
    return cpu.top(_walk(args), args[9])


@top_contributors.register_kernel("cuda")
def _(*args: Any) -> tuple[Tensor, ...]:
    return cuda.top(_launcher(args), _walk(args), args[9])


@top_contributors.register_fake
def _(*args: Any) -> tuple[Tensor, ...]:
    weights = _picture(args, args[9])
    return torch.empty_like(weights, dtype=torch.int32), weights


@torch.library.custom_op(
    "langfield::splat_channels", mutates_args=(), device_types="cpu", schema=f"({_WALK}, Tensor channels) -> Tensor"
)
def splat_channels(*args: Any) -> Tensor:
    """Blend channels [N, C] without colour and depth."""
    return cpu.splat_channels(_walk(args), args[9].contiguous())


@splat_channels.register_kernel("cuda")
def _(*args: Any) -> Tensor:
    return cuda.splat_channels(_launcher(args), _walk(args), args[9].contiguous())


@splat_channels.register_fake
def _(*args: Any) -> Tensor:
    return _picture(args, args[9].shape[1])


@torch.library.custom_op(
    "langfield::look_up_scores",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor index, Tensor weight, Tensor table) -> (Tensor, Tensor)",
)
def look_up_scores(index: Tensor, weight: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Give scores [N, L, Q] of codes [N, L, K], and int32 [1] that is not 0 where codes are wrong (on a GPU)."""
    atoms = table.shape[1]
    flat = index.to(torch.int64) + atoms * torch.arange(len(table), device=index.device)[:, None]
    found = torch.nn.functional.embedding_bag(
        flat.flatten(0, 1), table.flatten(0, 1), per_sample_weights=weight.flatten(0, 1), mode="sum"
    )
    return found.reshape(len(index), len(table), table.shape[2]), torch.zeros(1, dtype=torch.int32)


@look_up_scores.register_kernel("cuda")
def _(index: Tensor, weight: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    parts = (index.to(torch.int32).contiguous(), weight.contiguous(), table.contiguous())
    return cuda.look_up_scores(cuda_launch.launcher(index.device.index), *parts)


@look_up_scores.register_fake
def _(index: Tensor, weight: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    scores = weight.new_empty((index.shape[0], table.shape[0], table.shape[2]))
    return scores, weight.new_empty(1, dtype=torch.int32)


@torch.library.custom_op(
    "langfield::splat_codes",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_WALK}, Tensor index, Tensor weight, int atoms) -> Tensor",
)
def splat_codes(*args: Any) -> Tensor:
    """Blend sparse codes, index int32 and weight [N, K]."""
    return cpu.splat_codes(_walk(args), args[9].contiguous(), args[10].contiguous(), args[11])


@splat_codes.register_kernel("cuda")
def _(*args: Any) -> Tensor:
    codes = args[9].contiguous(), args[10].contiguous(), args[11]
    return cuda.splat_codes(_launcher(args), _walk(args), *codes)


@splat_codes.register_fake
def _(*args: Any) -> Tensor:
    return _picture(args, args[11])


@torch.library.custom_op(
    "langfield::splat_codes_backward",
    mutates_args=(),
    device_types="cpu",
    schema=f"({_WALK}, Tensor index, Tensor grad) -> Tensor",
)
def splat_codes_backward(*args: Any) -> Tensor:
    """Give the gradient by the weights [N, K]."""
    return cpu.splat_codes_backward(_walk(args), args[9].contiguous(), args[10].contiguous())


@splat_codes_backward.register_kernel("cuda")
def _(*args: Any) -> Tensor:
    return cuda.splat_codes_backward(_launcher(args), _walk(args), args[9].contiguous(), args[10].contiguous())


@splat_codes_backward.register_fake
def _(*args: Any) -> Tensor:
    return args[0].new_empty(args[9].shape)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs[:6], inputs[9])
    ctx.view = inputs[6:_ARGUMENTS]


def _through_codes(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    *walk, index = ctx.saved_tensors
    nothing = (None,) * _ARGUMENTS
    return (*nothing, None, splat_codes_backward(*walk, *ctx.view, index, grad), None)


splat_codes.register_autograd(_through_codes, setup_context=_keep)
