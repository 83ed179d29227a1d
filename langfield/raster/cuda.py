"""The CUDA kernels as functions of tensors, the twins of `langfield.raster.cpu`; a launcher runs the kernels.

All memory is torch's. Sorts and running sums between the kernels are torch's too, so nothing here asks where the
tensors lie: with the tests' launcher everything happens on the CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from langfield.errors import SettingsError
from langfield.raster.cpu import Lens, Tiles
from langfield.raster.cuda_launch import Launcher

TILE = 16
PER_GAUSSIAN = 256
"""Threads of a block in kernels with one thread a Gaussian or entry."""
PER_PROJECTION = 128
PACKED = 12
"""Floats of a packed Gaussian, and of its summed gradients (as in cuda_common.cuh)."""
WIDEST = 32
"""Channels that one walk over the tiles blends at most."""


def project(
    launch: Launcher, scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None], viewmat: Tensor, lens: Lens
) -> list[Tensor]:
    """Project means, quats, log_scales, logit_opacities and sh (None: no colour).

    Returns:
        means2d [N, 2], conics [N, 3], depths [N], opacities [N], colours [N, 3], radii int32 [N, 2].
    """
    means, n = scene[0], scene[0].shape[0]
    out = [means.new_empty(shape) for shape in ((n, 2), (n, 3), (n,), (n,), (n, 3))]
    radii = means.new_empty((n, 2), dtype=torch.int32)
    if n:
        grid, block = _one_each(n, PER_PROJECTION)
        launch("project_splats", grid, block, *_seen(scene, viewmat, lens), *out, radii)
    return [*out, radii]


def project_backward(
    launch: Launcher,
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None],
    view: tuple[Tensor, Lens],
    radii: Tensor,
    grads: list[Tensor],
) -> list[Tensor]:
    """Give the gradients by the five scene tensors and the view matrix, from those of `project`'s float outputs."""
    viewmat, lens = view
    means, sh, n = scene[0], scene[4], scene[0].shape[0]
    grid, block = _one_each(n, PER_PROJECTION)
    out = [torch.empty_like(t) for t in scene[:4] if t is not None]
    v_sh = None if sh is None else means.new_empty(sh.shape)
    partial = means.new_empty((grid[0], 12))
    if n:
        gradients = (*out, v_sh, partial)
        launch("project_splats_backward", grid, block, *_seen(scene, viewmat, lens), radii, *grads, *gradients)
    v_view = torch.zeros_like(viewmat)
    if viewmat.device == means.device:  # elsewhere it lies only where nobody asks for its gradient
        total = partial.sum(0, dtype=torch.float64).to(viewmat.dtype)
        v_view[:3, :3], v_view[:3, 3] = total[:9].reshape(3, 3), total[9:]
    return [*out, means.new_empty(0) if v_sh is None else v_sh, v_view]


def bin_tiles(launch: Launcher, splats: list[Tensor], size: tuple[int, int]) -> Tiles:
    """List the Gaussians of every 16x16 tile, near to far.

    The number of entries is read back once, to know how much memory the lists take: the one place where the CPU waits
    for the GPU.

    Args:
        launch: runs the kernels.
        splats: means2d, conics, opacities, depths and radii.
        size: width and height, pixels.

    Raises:
        SettingsError: so many Gaussians cover so much of the picture that the lists cannot be indexed.
    """
    (means2d, conics, opacities, depths, radii), (width, height) = splats, size
    n, tiles = means2d.shape[0], _tiles(size)
    screen = (means2d, conics, opacities, radii, n, width, height)
    counts = means2d.new_empty(n, dtype=torch.int64)
    grid, block = _one_each(n, PER_GAUSSIAN)
    if n:
        launch("count_tiles", grid, block, *screen, counts)
    first = counts.new_zeros(n + 1)
    torch.cumsum(counts, 0, out=first[1:])
    order = torch.sort(depths, stable=True).indices
    ends = counts[order].cumsum(0)
    entries = int(first[-1])
    _check_entries(entries, means2d, size)
    wide = tiles > 2**15
    tile = radii.new_empty(entries, dtype=torch.int32 if wide else torch.int16)
    listed, shift = radii.new_empty(entries), torch.empty_like(counts)
    if n:
        keys = (None, tile) if wide else (tile, None)
        launch("list_entries", grid, block, *screen, order, ends, first, *keys, listed, shift)
    tile, origin = torch.sort(tile, stable=True)
    start, gaussian, slot = (radii.new_empty(many) for many in (tiles + 1, entries, entries))
    keys = (None, tile) if wide else (tile, None)
    grid, block = _one_each(entries + 1, PER_GAUSSIAN)
    launch("finish_lists", grid, block, *keys, origin, listed, shift, entries, tiles, start, gaussian, slot)
    return Tiles(first, start, gaussian, slot, radii)


def pack(launch: Launcher, splats: list[Tensor]) -> Tensor:
    """Give means2d, conics, opacities, colours and depths side by side, [N, 12], as the walks over tiles read them."""
    n = splats[0].shape[0]
    packed = splats[0].new_empty((n, PACKED))
    if n:
        launch("pack_splats", *_one_each(n, PER_GAUSSIAN), *splats, n, packed)
    return packed


def blend(
    launch: Launcher,
    splats: list[Tensor],
    channels: Tensor | None,
    tiles: Tiles,
    size: tuple[int, int],
    smooth: bool,
) -> list[Tensor]:
    """Blend means2d, conics, opacities, colours and depths, with any number of channels.

    Returns:
        colour [H, W, 3], depth [H, W], transmittance [H, W], channels [H, W, C], last int32 [H, W].
    """
    width, height = size
    channels = _rows(channels, splats[0])
    shapes = ((height, width, 3), (height, width), (height, width), (height, width, channels.shape[1]))
    colour, depth, through, drawn = (splats[0].new_empty(shape) for shape in shapes)
    last = tiles.radii.new_empty((height, width))
    inputs = (pack(launch, splats), channels, channels.shape[1])
    for kernel, c0, many in chunks("blend", channels.shape[1], base=True):
        base = (colour, depth, drawn, through, last) if c0 == 0 else (None, None, drawn, None, None)
        lists = (c0, tiles.start, tiles.gaussian, width, height, int(smooth))
        launch(kernel, (_tiles(size), many, 1), (256, 1, 1), *inputs, *lists, *base)
    return [colour, depth, through, drawn, last]


def blend_channels(
    launch: Launcher, packed: Tensor, channels: Tensor, tiles: Tiles, size: tuple[int, int], smooth: bool
) -> Tensor:
    """Blend channels [N, C] alone, without colour and depth.

    Args:
        launch: runs the kernels.
        packed: as `pack` gave it.
        channels: float32.
        tiles: as `bin_tiles` gave them.
        size: width and height, pixels.
        smooth: smooth cut-off.

    Returns:
        [H, W, C].
    """
    (width, height), channels = size, _rows(channels, packed)
    drawn = packed.new_empty((height, width, channels.shape[1]))
    for kernel, c0, many in chunks("blend", channels.shape[1], base=False):
        lists = (channels.shape[1], c0, tiles.start, tiles.gaussian, width, height, int(smooth))
        outputs = (None, None, drawn, None, None)
        launch(kernel, (_tiles(size), many, 1), (256, 1, 1), packed, channels, *lists, *outputs)
    return drawn


def blend_backward(
    launch: Launcher,
    blended: tuple[list[Tensor], Tensor | None, Tiles],
    drawn: tuple[Tensor, Tensor],
    grads: list[Tensor],
    how: tuple[bool, bool],
) -> list[Tensor]:
    """Give the gradients by the five splat tensors and the channels.

    Args:
        launch: runs the kernels.
        blended: splats, channels and tiles, as `blend` got them.
        drawn: transmittance and last, as `blend` gave them.
        grads: of colour, depth, transmittance and channels.
        how: smooth cut-off; whether means2d, conics and opacities are wanted (else they are zero).
    """
    (splats, channels, tiles), (transmittance, last) = blended, drawn
    v_colour, v_depth, v_transmittance, v_drawn = grads
    height, width = last.shape
    n, channels = splats[0].shape[0], _rows(channels, splats[0])
    sums, v_channels = splats[0].new_zeros((n, PACKED)), torch.zeros_like(channels)
    out = [torch.empty_like(t) for t in splats]
    inputs = (pack(launch, splats), channels, channels.shape[1])
    pixels = (transmittance, last, v_colour, v_depth, _aligned(v_drawn))
    for kernel, c0, many in chunks("unblend", channels.shape[1], base=True):
        lists = (c0, tiles.start, tiles.gaussian, width, height, *(int(flag) for flag in how))
        behind = v_transmittance if c0 == 0 else None
        grid = (_tiles((width, height)), many, 1)
        launch(kernel, grid, (128, 1, 1), *inputs, *lists, *pixels, behind, sums, v_channels)
    if n:
        launch("unpack_gradients", *_one_each(n, PER_GAUSSIAN), sums, n, *out)
    return [*out, v_channels]


def chunks(kind: str, channels: int, base: bool) -> list[tuple[str, int, int]]:
    """Give the launches that together cover all channels: kernel, first channel, chunks of the kernel's width.

    Args:
        kind: "blend" or "unblend".
        channels: how many there are.
        base: the first launch does colour and depth as well.
    """
    done, plan = 0, []
    if base:
        width = _least_width(min(channels, WIDEST), (0, 4, 8, 16, WIDEST))
        plan.append((f"{kind}_base_{width}" if width else f"{kind}_base", 0, 1))
        done = width
    whole, rest = divmod(max(channels - done, 0), WIDEST)
    if whole:
        plan.append((f"{kind}_channels_{WIDEST}", done, whole))
    if rest:
        plan.append((f"{kind}_channels_{_least_width(rest, (8, 16, WIDEST))}", done + whole * WIDEST, 1))
    return plan


def _least_width(channels: int, widths: tuple[int, ...]) -> int:
    return next(width for width in widths if width >= channels)


def _seen(
    scene: tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None], viewmat: Tensor, lens: Lens
) -> tuple[Tensor | int | None, ...]:
    """Give the arguments that projection and its backward share."""
    means, quats, log_scales, logits, sh = scene
    known = (means, quats, log_scales, logits, None if sh is None else _aligned(sh), means.shape[0])
    return (
        *known,
        0 if sh is None else sh.shape[1],
        lens.sh_degree,
        _camera(viewmat, lens, means.device),
        lens.width,
        lens.height,
    )


def _camera(viewmat: Tensor, lens: Lens, device: torch.device) -> Tensor:
    tail, view = [*lens.intrinsics, lens.near, lens.blur_px2], viewmat.detach()
    if view.device.type == "cpu":
        rows = view.numpy()
        numbers = torch.tensor([*rows[:3, :3].reshape(-1), *rows[:3, 3], *tail], dtype=torch.float32)
        return numbers.to(device, non_blocking=True)
    rest = torch.tensor(tail, dtype=torch.float32).to(device, non_blocking=True)
    return torch.cat([view[:3, :3].reshape(-1), view[:3, 3], rest])


def _rows(channels: Tensor | None, like: Tensor) -> Tensor:
    return like.new_empty((like.shape[0], 0)) if channels is None else _aligned(channels)


def _aligned(tensor: Tensor) -> Tensor:
    """Give a tensor whose memory begins at a multiple of 16 bytes, because the kernels read four floats at once."""
    return tensor.clone() if tensor.data_ptr() % 16 else tensor


def _one_each(many: int, threads: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Give grid and block with a thread for each."""
    return (-(-many // threads), 1, 1), (threads, 1, 1)


def _tiles(size: tuple[int, int]) -> int:
    return -(-size[0] // TILE) * -(-size[1] // TILE)


def _check_entries(entries: int, means2d: Tensor, size: tuple[int, int]) -> None:
    n, (width, height) = means2d.shape[0], size
    if entries >= 2**31:
        raise SettingsError(
            f"{n} Gaussians touch {entries} tiles of a {width}x{height} picture, more than can be listed",
            f"means2d {list(means2d.shape)}",
            "draw a smaller picture",
        )
