"""Where the camera is: its pose optimised against the drawn map (MonoGS, Matsuki et al. 2024, section 3.3).

MonoGS descends about a hundred Adam steps per frame, each a drawing with gradients. Here direct alignment to one
drawing comes first (`online.align`), then a few steps along the rasterizer's own gradient by the pose, scaled by the
curvature that the alignment knows; that ends in the same minimum for three to five drawings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera
from langfield.errors import SettingsError
from langfield.online.align import (
    Fit,
    Level,
    Robust,
    descend,
    equations,
    grey_of,
    level_of,
    pyramid,
    solve,
    template_of,
)
from langfield.online.pose import inverse, moved, twist_gradient
from langfield.raster import Gaussians, View, rasterize
from langfield.raster.threads import kernels_only

PLAIN = (1.0, 0.0)


@dataclass(frozen=True)
class TrackingSettings:
    """How the camera is tracked."""

    coarse_steps: tuple[int, ...] = (6, 5, 3)
    """Gauss-Newton steps of the alignment per picture size, quarter, half and whole size; 0 leaves one out."""
    exact_steps: int = 2
    """Steps along the rasterizer's gradient after it."""
    opaque: float = 0.9
    """Pixels the map covers by less than this tell nothing."""
    robust: Robust = field(default_factory=Robust)
    """The loss: colour and depth, as absolute differences that turn square where they are small."""
    least_inliers: float = 0.55
    """With a smaller share of agreeing pixels the camera is lost."""
    least_seen: float = 0.25
    """With a smaller share of the picture on the map the camera is lost."""
    gain_range: tuple[float, float] = (0.5, 2.0)
    """With another gain the camera is lost: a black picture is like any view drawn dark enough."""
    candidates: int = 4
    """Keyframes that are tried when a lost camera is looked for."""


@dataclass(frozen=True)
class Tracked:
    """What tracking a frame found."""

    T_world_camera: Float[Tensor, "4 4"]
    """float64; the last pose that was known where the camera is lost."""
    exposure: tuple[float, float]
    """Gain and offset: picture = gain * drawn + offset."""
    lost: bool
    steps: int
    """Steps of alignment and gradient together."""
    loss: float
    inliers: float = 1.0
    """Share of the pixels that agree with the map, 0 to 1."""
    relocalised: bool = False
    """The camera had been lost, and this frame was found again from a keyframe."""


@dataclass(frozen=True)
class Seen:
    """A frame as tensors on the map's device."""

    image: Float[Tensor, "H W 3"]
    """0 to 1."""
    depth: Float[Tensor, "H W"]
    """0 where unknown, everywhere for a frame without depth."""
    camera: Camera

    @property
    def has_depth(self) -> bool:
        """Whether any depth is known."""
        return bool((self.depth > 0).any())


@dataclass(frozen=True)
class State:
    """A pose and exposure on their way."""

    T_world_camera: Tensor
    exposure: tuple[float, float] = PLAIN


def seen_of(frame: RgbdFrame, device: torch.device) -> Seen:
    """Give a frame as tensors; depth that is not finite or not positive counts as unknown.

    Raises:
        SettingsError: its lens distortion has not been taken out.
    """
    if frame.camera.distortion is not None:
        raise SettingsError("the frame has lens distortion", frame.name, "undistort the stream first")
    image = torch.from_numpy(frame.image).to(device).float() / 255
    if frame.depth_m is None:
        depth = image.new_zeros(image.shape[:2])
    else:
        depth = torch.from_numpy(frame.depth_m).to(image).nan_to_num(0, 0, 0).clamp_min(0)
    return Seen(image, depth, frame.camera)


def level_of_frame(seen: Seen) -> Level:
    """Give the finest level of a frame."""
    known = torch.ones_like(seen.depth, dtype=torch.bool)
    return level_of(grey_of(seen.image), seen.depth, known, seen.camera.K)


def level_of_view(view: View, camera: Camera, opaque: float) -> Level:
    """Give the finest level of a drawn view; what the map hardly covers is unknown."""
    assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
    covered = view.alpha > opaque
    depth = torch.where(covered, view.depth / view.alpha.clamp_min(1e-6), 0.0)
    return level_of(grey_of(view.colour), depth, covered, camera.K)


class Tracker:
    """Finds the camera of frame after frame; holds nothing but its settings."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Check and keep the settings.

        Raises:
            SettingsError: one lies outside its range.
        """
        fractions = (settings.opaque, settings.least_inliers, settings.least_seen)
        if min(*settings.coarse_steps, settings.exact_steps) < 0 or not all(0 <= f < 1 for f in fractions):
            raise SettingsError("a tracking setting lies outside its range", settings)
        self.settings = settings

    def track(self, gaussians: Gaussians, seen: Seen, start: State) -> Tracked:
        """Find a frame's camera near a start.

        Args:
            gaussians: the map.
            seen: the frame.
            start: where to begin; its exposure is the last frame's.
        """
        with kernels_only():
            state, fit, steps = self._align(gaussians, seen, start)
            state, loss, taken = self._refine(gaussians, seen, state, fit)
        lost = not self._trusted(fit, state) or not math.isfinite(loss)
        pose = start.T_world_camera if lost else state.T_world_camera
        return Tracked(pose, state.exposure, lost, steps + taken, loss, fit.inliers)

    def relocalise(self, gaussians: Gaussians, seen: Seen, starts: list[State]) -> Tracked | None:
        """Give the first tracking that can be trusted from several starts; None where the camera stays lost."""
        for start in starts:
            first = self.track(gaussians, seen, start)
            if not first.lost:
                return replace(first, relocalised=True)
        return None

    def curvature(self, gaussians: Gaussians, seen: Seen, state: State) -> Float[Tensor, "8 8"]:
        """Give the curvature of the loss by twist, gain and offset at a state, float64 on the CPU."""
        with kernels_only():
            return self._equations(gaussians, seen, state).H

    def _trusted(self, fit: Fit, state: State) -> bool:
        s = self.settings
        plain = s.gain_range[0] < state.exposure[0] < s.gain_range[1]
        return plain and fit.inliers >= s.least_inliers and fit.seen >= s.least_seen

    def _align(self, gaussians: Gaussians, seen: Seen, start: State) -> tuple[State, Fit, int]:
        s = self.settings
        camera = replace(seen.camera, T_world_camera=start.T_world_camera)
        with torch.no_grad():
            drawn = pyramid(level_of_view(rasterize(gaussians, camera), camera, s.opaque), len(s.coarse_steps) - 1)
            levels = pyramid(level_of_frame(seen), len(s.coarse_steps) - 1)
            templates = [template_of(level) for level in drawn]
            begin = torch.eye(4, dtype=torch.float64), start.exposure
            motion, exposure, fit = descend(templates, levels, begin, s.coarse_steps[-len(levels) :], s.robust)
        pose = camera.T_world_camera.double() @ inverse(motion)
        return State(pose, exposure), fit, sum(s.coarse_steps)

    def _equations(self, gaussians: Gaussians, seen: Seen, state: State) -> Fit:
        camera = replace(seen.camera, T_world_camera=state.T_world_camera)
        with torch.no_grad():
            template = template_of(level_of_view(rasterize(gaussians, camera), camera, self.settings.opaque))
            still = torch.eye(4, dtype=torch.float64)
            return equations(template, level_of_frame(seen), still, state.exposure, self.settings.robust)

    def _refine(self, gaussians: Gaussians, seen: Seen, state: State, fit: Fit) -> tuple[State, float, int]:
        """Take exact steps as long as they help."""
        best, loss, damping, taken = state, math.inf, 1e-4, 0
        gradient = torch.zeros(8, dtype=torch.float64)
        for _ in range(self.settings.exact_steps + 1):
            value, g = self._exact(gaussians, seen, state)
            if value < loss:
                best, loss, gradient = state, value, g
                damping = 1e-4
            else:
                damping = max(damping, 1e-2) * 30
            if taken == self.settings.exact_steps:
                break
            state = stepped(best, replace(fit, g=-gradient), damping)
            taken += 1
        return best, loss, taken

    def _exact(self, gaussians: Gaussians, seen: Seen, state: State) -> tuple[float, Tensor]:
        """Give the loss at a state, and its gradient by twist, gain and offset through the rasterizer."""
        pose = state.T_world_camera.clone().requires_grad_()
        knobs = torch.tensor(state.exposure, dtype=seen.image.dtype, device=seen.image.device).requires_grad_()
        view = rasterize(gaussians, replace(seen.camera, T_world_camera=pose))
        loss = frame_loss(view, seen, knobs, self.settings)
        if not loss.requires_grad:
            return math.inf, torch.zeros(8, dtype=torch.float64)
        by_pose, by_knobs = torch.autograd.grad(loss, (pose, knobs))
        return float(loss.detach()), torch.cat([twist_gradient(by_pose, pose.detach()), by_knobs.double().cpu()])


def stepped(state: State, fit: Fit, damping: float = 1e-4, share: float = 1.0) -> State:
    """Give the state after a Newton-like step along an exact gradient.

    Args:
        state: before.
        fit: curvature as `align.equations` gives it (a drawn view falls where a template rises, so that exposure and
            twist meet with the other sign), and minus the gradient.
        damping: see `align.solve`.
        share: of the step that is taken.
    """
    H = fit.H.clone()
    H[:6, 6:] *= -1
    H[6:, :6] *= -1
    step = share * solve(replace(fit, H=H), state.exposure, damping)
    gain, offset = state.exposure
    pose = moved(state.T_world_camera, step[:6]) if bool(step[:6].any()) else state.T_world_camera
    return State(pose, (gain + float(step[6]), offset + float(step[7])))


def frame_loss(view: View, seen: Seen, knobs: Float[Tensor, " 2"], settings: TrackingSettings) -> Float[Tensor, ""]:
    """Give the mean colour loss where the map is, plus the weighted mean relative depth loss.

    Args:
        view: drawn at the pose in question.
        seen: the frame.
        knobs: gain and offset.
        settings: the loss and what counts as covered.
    """
    assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
    robust = settings.robust
    covered = view.alpha.detach() > settings.opaque
    error = seen.image - knobs[0] * view.colour - knobs[1]
    depth = view.depth / view.alpha.clamp_min(1e-6)
    off = depth / torch.where(seen.depth > 0, seen.depth, 1.0) - 1
    other = (seen.depth > 0) & (off.detach().abs() > robust.same)
    plane = covered & (seen.depth > 0) & ~other
    colour = _mean_huber(error, robust.colour, (covered & ~other)[..., None])
    return colour + robust.depth_weight * _mean_huber(off, robust.depth, plane)


def _mean_huber(error: Tensor, knee: float, mask: Tensor) -> Tensor:
    size = error.abs()
    each = torch.where(size < knee, size * size / (2 * knee), size - knee / 2)
    return (each * mask).sum() / (mask.sum() * (error.numel() // mask.numel())).clamp_min(1)
