"""The door of the rasterizer: check what comes in and choose a backend."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import EnvironmentProblem, FormatError, SettingsError, StorageError
from langfield.progress import say
from langfield.raster import build, cuda_launch, reference
from langfield.raster.types import Gaussians, RasterOptions

Backend = Literal["reference", "cpu", "cuda"]
MAX_SIDE_PX = 32768


def resolve(gaussians: Gaussians, backend: Backend | None = None) -> Backend:
    """Give the backend that will draw these Gaussians.

    Raises:
        EnvironmentProblem: it is not available here.
        SettingsError: it does not work in this dtype.
    """
    if backend not in (None, "reference", "cpu", "cuda"):
        raise SettingsError(f"there is no backend {backend!r}", None, "use 'reference', 'cpu' or 'cuda'")
    if backend == "cuda" or gaussians.means.device.type != "cpu":
        return _on_gpu(gaussians.means, backend)
    single = gaussians.means.dtype == torch.float32
    if backend == "cpu":
        if not single:
            where = f"means {gaussians.means.dtype}"
            raise SettingsError("the cpu backend draws float32 only", where, "convert it or use backend='reference'")
        build.library()
    return backend or ("cpu" if single and compiled_available() else "reference")


def _on_gpu(means: Tensor, backend: Backend | None) -> Backend:
    """Give the cuda backend where it can draw these; nothing is moved between devices on its own."""
    where = f"means {means.dtype} on {means.device}"
    if means.device.type == "cpu":
        cuda_launch.require_driver()
        raise SettingsError("the cuda backend draws tensors that lie on a GPU", where, "move all of them to 'cuda'")
    if means.device.type != "cuda":
        raise EnvironmentProblem(f"nothing draws tensors on {means.device.type}", where, "move them to 'cpu' or 'cuda'")
    if backend not in (None, "cuda"):
        remedy = "move them to the CPU, or leave backend unset"
        raise SettingsError(f"the {backend} backend draws tensors that lie on the CPU", where, remedy)
    if means.dtype != torch.float32:
        raise SettingsError("the cuda backend draws float32 only", where, "convert the tensors")
    cuda_launch.launcher(means.device.index)
    return "cuda"


@functools.cache
def compiled_available() -> bool:
    """Say whether the compiled kernels work here; the first time they do not, tell the person why."""
    try:
        build.library()
    except (EnvironmentProblem, StorageError) as problem:
        say(f"Drawing with plain torch, which is many times slower: {problem}")
        return False
    return True


def check_gaussians(gaussians: Gaussians) -> None:
    """Check the five tensors against each other.

    Raises:
        FormatError: a shape, dtype or device differs from what it should be; the message names the tensor.
    """
    means, quats, log_scales, logits, sh = gaussians.tensors()
    n = means.shape[0] if means.dim() else 0
    k = sh.shape[1] if sh.dim() == 3 else 0
    wanted = {"means": (n, 3), "quats": (n, 4), "log_scales": (n, 3), "logit_opacities": (n,), "sh": (n, k, 3)}
    for (name, shape), tensor in zip(wanted.items(), (means, quats, log_scales, logits, sh), strict=True):
        _check_tensor(name, tensor, shape, means)
    if k not in (1, 4, 9, 16):
        raise FormatError(f"sh has {k} coefficients, not 1, 4, 9 or 16", f"sh {list(sh.shape)}")


def _check_tensor(name: str, tensor: Tensor, shape: tuple[int, ...], like: Tensor) -> None:
    if tuple(tensor.shape) != shape:
        raise FormatError(f"{name} has the wrong shape, {list(shape)} expected", f"{name} {list(tensor.shape)}")
    if not tensor.is_floating_point() or tensor.dtype != like.dtype or tensor.device != like.device:
        where = f"{name} {tensor.dtype} on {tensor.device}"
        raise FormatError(f"{name} is not of one float dtype and device with means ({like.dtype})", where)


def check_channels(gaussians: Gaussians, channels: Tensor | None) -> Tensor | None:
    """Check that channels are [N, C] numbers beside N Gaussians.

    Returns:
        Their least and largest value, still on their device, for `check_range`; None where there are none.

    Raises:
        FormatError: they are not.
    """
    if channels is None:
        return None
    shape = (len(gaussians), channels.shape[1] if channels.dim() == 2 else 1)
    _check_tensor("channels", channels, shape, gaussians.means)
    return torch.stack(torch.aminmax(channels.detach())) if channels.numel() else None


def check_range(extremes: Tensor | None, channels: Tensor | None) -> None:
    """Check what `check_channels` gave: apart from it, so that on a GPU it is read where the CPU has waited anyway.

    Raises:
        FormatError: some values are not finite or so large that gradients would overflow.
    """
    low, high = (0.0, 0.0) if extremes is None else extremes.tolist()
    if not (low >= -reference.LARGEST and high <= reference.LARGEST):  # neither holds for what is not a number
        what = f"channels hold values that are not finite or beyond {reference.LARGEST:.0e}"
        raise FormatError(what, f"channels {[] if channels is None else list(channels.shape)}", "scale them")


def pinhole_of(camera: Camera, dtype: torch.dtype) -> reference.Pinhole:
    """Give a camera as the kernels want it.

    Raises:
        SettingsError: it has distortion or skew, or an unreasonable picture size.
        FormatError: its matrices are not finite or cannot be inverted.
    """
    if camera.distortion is not None:
        raise SettingsError("the camera has lens distortion", camera.distortion.model, "undistort the picture first")
    if not (0 < camera.width <= MAX_SIDE_PX and 0 < camera.height <= MAX_SIDE_PX):
        raise SettingsError(f"a picture side must be 1 to {MAX_SIDE_PX} pixels", f"{camera.width}x{camera.height}")
    # numpy: for sixteen numbers torch's calls cost ten times the arithmetic, once for every picture
    K, T = (matrix.detach().cpu().numpy() for matrix in (camera.K, camera.T_world_camera))
    for name, matrix, shape in (("K", K, (3, 3)), ("T_world_camera", T, (4, 4))):
        if matrix.shape != shape or not np.isfinite(matrix).all():
            raise FormatError(f"the camera's {name} must be {shape[0]}x{shape[1]} finite numbers", name)
    fx, fy, cx, cy = (float(K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    if not (fx > 0 and fy > 0):
        raise SettingsError("focal lengths must be positive", f"fx {fx}, fy {fy}")
    if abs(float(K[0, 1])) > 1e-6 * fx:
        raise SettingsError("the camera has skew, which is not supported", "K[0, 1]")
    return reference.Pinhole(_viewmat(camera.T_world_camera, T, dtype), (fx, fy, cx, cy), camera.width, camera.height)


def _viewmat(pose: Tensor, numbers: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Invert a pose in double; through torch, on the pose's device, only where a gradient goes back to it."""
    try:
        if pose.requires_grad:
            return torch.linalg.inv(pose.to(torch.float64)).to(dtype)
        return torch.from_numpy(np.linalg.inv(numbers.astype(np.float64))).to(dtype)
    except (np.linalg.LinAlgError, torch.linalg.LinAlgError) as error:
        raise FormatError("the camera's T_world_camera cannot be inverted", "T_world_camera") from error


def check_options(options: RasterOptions) -> None:
    """Check the ranges of drawing options.

    Raises:
        SettingsError: one lies outside its range.
    """
    if not options.near > 0 or not options.blur_px2 >= 0:
        raise SettingsError("near must be positive and blur_px2 not negative", f"{options.near}, {options.blur_px2}")
    if options.sh_degree is not None and not 0 <= options.sh_degree <= 3:
        raise SettingsError("sh_degree must be 0 to 3", options.sh_degree)
