"""The compiled CPU kernels as functions of tensors: all memory is torch's, only pointers are passed on."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from langfield.errors import SettingsError
from langfield.raster.build import library
from langfield.raster.threads import kernel_threads

BLOCK = 1024
"""Gaussians whose camera gradients are added up together (as in cpu_entry.cpp)."""
PIXELS = 96 * 96
"""Smaller pictures are drawn by one thread."""


@dataclass(frozen=True)
class Lens:
    """What projection needs besides the Gaussians."""

    intrinsics: tuple[float, float, float, float]
    """fx fy cx cy, pixels."""
    width: int
    height: int
    sh_degree: int
    near: float
    blur_px2: float


@dataclass(frozen=True)
class Tiles:
    """Which Gaussians touch which tile, near to far."""

    first: Tensor
    """int64 [N + 1]: entries of Gaussian i, counted Gaussian by Gaussian, are first[i] to first[i + 1]."""
    start: Tensor
    """int32 [tiles + 1]: entries of each tile."""
    gaussian: Tensor
    """int32 [E]"""
    slot: Tensor
    """int32 [E]: place of the entry counted Gaussian by Gaussian."""
    radii: Tensor
    """int32 [N, 2]: half extents in pixels."""


def arguments(*values: Tensor | int | None) -> list[object]:
    """Give values as C arguments: tensors as pointers, None as the null pointer, integers as int64."""
    return [
        ctypes.c_void_p(v.data_ptr()) if isinstance(v, Tensor) else v if v is None else ctypes.c_int64(v)
        for v in values
    ]


def threads_for(work: int, worth: int) -> int:
    """Give the kernels' number of threads, or one where the work is so small that waking others costs more."""
    return kernel_threads() if work >= worth else 1


def _camera(viewmat: Tensor, lens: Lens) -> Tensor:
    view = viewmat.detach().to(torch.float32).cpu()
    tail = torch.tensor([*lens.intrinsics, lens.near, lens.blur_px2], dtype=torch.float32)
    return torch.cat([view[:3, :3].reshape(-1), view[:3, 3], tail])


def project(scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None], viewmat: Tensor, lens: Lens) -> list[Tensor]:
    """Project means, quats, log_scales, logit_opacities and sh (None: no colour).

    Returns:
        means2d [N, 2], conics [N, 3], depths [N], opacities [N], colours [N, 3], radii int32 [N, 2].
    """
    means, quats, log_scales, logits, sh = scene
    n = means.shape[0]
    out = [means.new_empty(shape) for shape in ((n, 2), (n, 3), (n,), (n,), (n, 3))]
    radii = torch.empty((n, 2), dtype=torch.int32)
    k_sh = 0 if sh is None else sh.shape[1]
    size = lens.width, lens.height, threads_for(n, 4 * BLOCK)
    camera = _camera(viewmat, lens)
    library().lf_project(
        *arguments(means, quats, log_scales, logits, sh, n, k_sh, lens.sh_degree, camera, *size, *out, radii)
    )
    return [*out, radii]


def project_backward(
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None],
    viewmat: Tensor,
    lens: Lens,
    radii: Tensor,
    grads: list[Tensor],
) -> list[Tensor]:
    """Give the gradients by the five scene tensors and the view matrix, from those of `project`'s float outputs."""
    means, quats, log_scales, logits, sh = scene
    n = means.shape[0]
    out = [torch.empty_like(t) for t in (means, quats, log_scales, logits)]
    v_sh = torch.empty_like(sh) if sh is not None else means.new_empty(0)
    partial = torch.empty((-(-n // BLOCK), 12), dtype=torch.float64)
    v_camera = means.new_empty(12)
    k_sh = 0 if sh is None else sh.shape[1]
    size = lens.width, lens.height, threads_for(n, 4 * BLOCK)
    camera = _camera(viewmat, lens)
    library().lf_project_backward(
        *arguments(means, quats, log_scales, logits, sh, n, k_sh, lens.sh_degree, camera, *size, radii, *grads),
        *arguments(*out, v_sh, partial, v_camera),
    )
    v_view = torch.zeros_like(viewmat)
    v_view[:3, :3], v_view[:3, 3] = v_camera[:9].reshape(3, 3), v_camera[9:]
    return [*out, v_sh, v_view]


def bin_tiles(splats: list[Tensor], size: tuple[int, int]) -> Tiles:
    """List the Gaussians of every 16x16 tile, near to far.

    Args:
        splats: means2d, conics, opacities, depths and radii.
        size: width and height, pixels.

    Raises:
        SettingsError: so many Gaussians cover so much of the picture that the lists cannot be indexed.
    """
    (means2d, conics, opacities, depths, radii), (width, height) = splats, size
    n, tiles = means2d.shape[0], -(-width // 16) * -(-height // 16)
    first = torch.empty(n + 1, dtype=torch.int64)
    threads = threads_for(n, 4 * BLOCK)
    entries = library().lf_count_tiles(*arguments(means2d, conics, opacities, radii, n, width, height, threads, first))
    if entries >= 2**31:
        raise SettingsError(
            f"{n} Gaussians touch {entries} tiles of a {width}x{height} picture, more than can be listed",
            f"means2d {list(means2d.shape)}",
            "draw a smaller picture",
        )
    start = torch.empty(tiles + 1, dtype=torch.int32)
    gaussian, slot = (torch.empty(entries, dtype=torch.int32) for _ in range(2))
    scratch = torch.empty(4 * n + entries + threads * max(tiles, 2048), dtype=torch.int32)
    screen = arguments(means2d, conics, opacities, radii, depths, n, width, height, threads, first)
    library().lf_fill_tiles(*screen, *arguments(scratch, start, gaussian, slot))
    return Tiles(first, start, gaussian, slot, radii)


def pack(splats: list[Tensor], radii: Tensor) -> Tensor:
    """Give splats [N, 16] as the kernels read them: one Gaussian in one cache line."""
    n = splats[0].shape[0]
    packed = torch.empty((n, 16), dtype=torch.float32)
    library().lf_pack(*arguments(*splats, radii, n, threads_for(n, 4 * BLOCK), packed))
    return packed


def blend(
    splats: list[Tensor], channels: Tensor | None, tiles: Tiles, size: tuple[int, int], smooth: bool
) -> list[Tensor]:
    """Blend means2d, conics, opacities, colours and depths, with any number of channels, in one pass.

    Returns:
        colour [H, W, 3], depth [H, W], transmittance [H, W], channels [H, W, C], last int32 [H, W].
    """
    width, height = size
    many = 0 if channels is None else channels.shape[1]
    shapes = ((height, width, 3), (height, width), (height, width), (height, width, many))
    colour, depth, through, drawn = (torch.empty(shape, dtype=torch.float32) for shape in shapes)
    last = torch.empty((height, width), dtype=torch.int32)
    packed = pack(splats, tiles.radii)  # named, so that it lives until the call returns
    library().lf_blend(
        *arguments(packed, channels, many, tiles.start, tiles.gaussian, width, height, smooth),
        *arguments(threads_for(width * height, PIXELS), colour, depth, drawn, through, last),
    )
    return [colour, depth, through, drawn, last]


def blend_backward(
    splats: list[Tensor],
    channels: Tensor | None,
    tiles: Tiles,
    drawn: tuple[Tensor, Tensor],
    grads: list[Tensor],
    how: tuple[bool, bool],
) -> list[Tensor]:
    """Give the gradients by the five splat tensors and the channels.

    Args:
        drawn: transmittance and last, as `blend` gave them.
        grads: of colour, depth, transmittance and channels.
        how: smooth cut-off; whether means2d, conics and opacities are wanted (else they are zero).
    """
    transmittance, last = drawn
    height, width = last.shape
    n, many = splats[0].shape[0], 0 if channels is None else channels.shape[1]
    row = 8 + 4 + -(-min(many, library().lf_chunk()) // 4 * 4)  # geometry, colour and depth, channels
    scratch = torch.empty((tiles.gaussian.shape[0], row), dtype=torch.float32)
    means2d, conics, opacities, colours, depths = (torch.empty_like(t) for t in splats)
    v_channels = torch.empty((n, many), dtype=torch.float32)
    v_colour, v_depth, v_transmittance, v_drawn = grads
    packed = pack(splats, tiles.radii)
    library().lf_blend_backward(
        *arguments(packed, channels, n, many, tiles.start, tiles.gaussian, tiles.slot, tiles.first),
        *arguments(
            width, height, *how, threads_for(width * height, PIXELS), transmittance, last, v_colour, v_depth, v_drawn
        ),
        *arguments(v_transmittance, scratch, means2d, conics, opacities, colours, depths, v_channels),
    )
    return [means2d, conics, opacities, colours, depths, v_channels]


def ssim(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean structural similarity of two [H, W, 3] pictures and its gradient by the first."""
    height, width, _ = a.shape
    maps = torch.empty((5, height, 3 * (width + 10)), dtype=torch.float32)
    slopes, v_a = torch.empty((3, height, 3 * width), dtype=torch.float32), torch.empty_like(a)
    rows = torch.empty(height, dtype=torch.float64)
    value = library().lf_ssim(
        *arguments(a, b, width, height, threads_for(width * height, PIXELS), maps, slopes, rows, v_a)
    )
    return torch.tensor(value, dtype=torch.float32), v_a
