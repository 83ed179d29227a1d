"""Gaussians as one camera sees them, made once; and the picture of them.

Projecting and binning are the same for every question to one view, so they are done here, and `rasterize` and the
questions of `langfield.raster.contributions` each add only their own walk over the tiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster import cpu, cuda, cuda_launch, ops, reference
from langfield.raster.cpu import Tiles
from langfield.raster.dispatch import (
    Backend,
    check_channels,
    check_gaussians,
    check_options,
    check_range,
    pinhole_of,
    resolve,
)
from langfield.raster.reference import Pinhole, Splats
from langfield.raster.types import Gaussians, RasterOptions, View


@dataclass(frozen=True)
class Screen:
    """N Gaussians projected into one camera and listed tile by tile, near to far."""

    splats: Splats
    tiles: Tiles | None
    """None for the reference, which finds the Gaussians of a tile as it goes."""
    width: int
    """Pixels."""
    height: int
    smooth: bool
    """Contributions fade out instead of being cut at 1/255."""
    backend: Backend

    def __len__(self) -> int:
        return self.splats.means2d.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.width, self.height

    @cached_property
    def packed(self) -> Tensor:
        """The splats as the backend's kernels read them, made once for all questions; not for the reference."""
        splats = [t.detach().contiguous() for t in splats_of(self)]
        if self.backend == "cuda":
            return cuda.pack(cuda_launch.launcher(splats[0].device.index), splats)
        return cpu.pack(splats, self.splats.radii)


def to_screen(
    gaussians: Gaussians, camera: Camera, options: RasterOptions | None = None, backend: Backend | None = None
) -> Screen:
    """Project Gaussians and list them by tile (Kerbl et al. 2023, section 4 to 6): what every drawing starts with.

    Args:
        gaussians: N Gaussians, world units; float32, or any float dtype for the reference.
        camera: without distortion; its picture size is the view's.
        options: how to draw; None for the defaults.
        backend: None chooses by device and dtype: the compiled kernels for float32, else the reference.

    Raises:
        FormatError: shapes, dtypes or devices do not fit together, or a camera is not finite.
        SettingsError: the camera has distortion or skew, or an option lies outside its range.
        EnvironmentProblem: the backend asked for is not available here.
    """
    options = options or RasterOptions()
    check_gaussians(gaussians)
    pinhole = pinhole_of(camera, gaussians.means.dtype)
    check_options(options)
    chosen = resolve(gaussians, backend)
    if chosen == "reference":
        splats, tiles = reference.project(gaussians, pinhole, options), None
    else:
        splats, tiles = _compiled(gaussians, pinhole, options)
    return Screen(splats, tiles, pinhole.width, pinhole.height, options.smooth_cutoff, chosen)


def rasterize(
    gaussians: Gaussians,
    camera: Camera,
    channels: Float[Tensor, "N C"] | None = None,
    options: RasterOptions | None = None,
    backend: Backend | None = None,
) -> View:
    """Draw colour, depth, alpha and any number of channels in one pass (Kerbl et al. 2023, section 4 to 6).

    Gradients flow to every Gaussian tensor, the channels, `View.means2d` and `camera.T_world_camera`. Gaussians
    that hold values that are not finite, or a zero quaternion, are left out.

    Args:
        gaussians: N Gaussians, world units; float32, or any float dtype for the reference.
        camera: without distortion; its picture size is the view's.
        channels: N rows of C numbers, finite, the Gaussians' dtype.
        options: how to draw; None for the defaults.
        backend: None chooses by device and dtype: the compiled kernels for float32, else the reference.

    Raises:
        FormatError: shapes, dtypes or devices do not fit together, or a camera or channel is not finite.
        SettingsError: the camera has distortion or skew, or an option lies outside its range.
        EnvironmentProblem: the backend asked for is not available here.
    """
    check_gaussians(gaussians)
    extremes = check_channels(gaussians, channels)
    options = options or RasterOptions()
    screen = to_screen(gaussians, camera, options, backend)
    check_range(extremes, channels)
    return draw(screen, channels, options.colour)


def draw(screen: Screen, channels: Float[Tensor, "N C"] | None = None, colour: bool = True) -> View:
    """Blend what is on a screen; `channels` must be N rows, as `rasterize` checks."""
    s = screen.splats
    if screen.tiles is None:
        parts = [s.colours, s.depths[:, None]] + ([] if channels is None else [channels])
        drawn, through = reference.blend(s, torch.cat(parts, dim=1), screen.size, screen.smooth)
        picture, depth, blended = drawn[..., :3], drawn[..., 3], drawn[..., 4:]
    else:
        splats, tiles = splats_of(screen), tiles_of(screen.tiles)
        picture, depth, through, blended, _ = ops.blend(*splats, channels, *tiles, *screen.size, screen.smooth)
    return View(
        alpha=1 - through,
        depth=depth,
        colour=picture if colour else None,
        channels=None if channels is None else blended,
        means2d=s.means2d,
        radii=s.radii,
    )


def splats_of(screen: Screen) -> tuple[Tensor, ...]:
    """Give means2d, conics, opacities, colours and depths in the order of the operators."""
    s = screen.splats
    return s.means2d, s.conics, s.opacities, s.colours, s.depths


def tiles_of(tiles: Tiles) -> tuple[Tensor, ...]:
    """Give the tensors of the tile lists in the order of the operators."""
    return tiles.first, tiles.start, tiles.gaussian, tiles.slot, tiles.radii


def _compiled(gaussians: Gaussians, camera: Pinhole, options: RasterOptions) -> tuple[Splats, Tiles]:
    means, quats, log_scales, logits, sh = gaussians.tensors()
    size = camera.width, camera.height
    degree = reference.sh_degree_of(gaussians, options)
    lens = (list(camera.intrinsics), *size, degree, options.near, options.blur_px2)
    colour = sh if options.colour else None
    # without a gradient it stays where it is: eighteen numbers go to a GPU with the launch, and nobody waits for them
    viewmat = camera.viewmat.to(means.device) if camera.viewmat.requires_grad else camera.viewmat
    means2d, conics, depths, opacities, colours, radii = ops.project(
        means, quats, log_scales, logits, colour, viewmat, *lens
    )
    first, start, gaussian, slot = ops.bin_tiles(
        *(t.detach() for t in (means2d, conics, opacities, depths)), radii, *size
    )
    return Splats(means2d, conics, depths, opacities, colours, radii), Tiles(first, start, gaussian, slot, radii)
