"""Where the camera is: its pose optimised against the drawn map (MonoGS, Matsuki et al. 2024, section 3.3).

MonoGS descends about a hundred Adam steps per frame, each a drawing with gradients. Here a frame is aligned directly
with what the map looks like from the last keyframe (`online.align`), which is drawn once for all frames until the
next. That is not only cheaper: seen from a keyframe the map is trained, seen from beside it its Gaussians slide over
one another, and a pose that is optimised against that is drawn back by some per cent of the way. So steps along the
rasterizer's own gradient by the pose (`exact_steps`, scaled by the curvature that the alignment knows) are few or
none here, and belong to mapping, where the map learns together with the poses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera
from langfield.errors import SettingsError
from langfield.online.align import (
    Fit,
    Level,
    Robust,
    Template,
    descend,
    equations,
    grey_of,
    level_of,
    pyramid,
    smooth_of,
    solve,
    template_of,
)
from langfield.online.pose import inverse, moved, rigid, twist_gradient
from langfield.online.surface import depth_of, inverse_depth, plane_channels
from langfield.raster import Gaussians, View, rasterize
from langfield.raster.threads import kernels_only

PLAIN = (1.0, 0.0)
LARGEST = 1e6
"""World units; what lies farther counts as unknown."""


@dataclass(frozen=True)
class TrackingSettings:
    """How the camera is tracked."""

    coarse_steps: tuple[int, ...] = (6, 5, 3)
    """Gauss-Newton steps of the alignment per picture size, quarter, half and whole size; 0 leaves one out."""
    exact_steps: int = 0
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


@dataclass(frozen=True)
class Reference:
    """The map as drawn where a keyframe stands."""

    templates: tuple[Template, ...]
    """Finest first."""
    T_world_camera: Float[Tensor, "4 4"]


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
        depth = torch.from_numpy(np.where(frame.depth_m > 0, frame.depth_m, 0)).to(image)
        depth = torch.where(depth < LARGEST, depth, 0.0)
    return Seen(image, depth, frame.camera)


def level_of_frame(seen: Seen) -> Level:
    """Give the finest level of a frame."""
    known = torch.ones_like(seen.depth, dtype=torch.bool)
    return level_of(grey_of(seen.image), seen.depth, known, seen.camera.K)


def drawn(gaussians: Gaussians, camera: Camera) -> View:
    """Draw the map with the planes of its surface as channels."""
    return rasterize(gaussians, camera, plane_channels(gaussians, camera.T_world_camera))


def level_of_view(view: View, camera: Camera, opaque: float) -> Level:
    """Give the finest level of a drawn view; what the map hardly covers is unknown."""
    assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
    depth, covered = depth_of(view, camera, opaque)
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

    def reference(self, gaussians: Gaussians, camera: Camera) -> Reference:
        """Draw the map where a keyframe stands: what the frames after it are aligned with."""
        s = self.settings
        with torch.no_grad(), kernels_only():
            level = level_of_view(drawn(gaussians, camera), camera, s.opaque)
            templates = [template_of(one) for one in pyramid(level, len(s.coarse_steps) - 1)]
        return Reference(tuple(templates), camera.T_world_camera.double())

    def track(self, gaussians: Gaussians, reference: Reference, seen: Seen, start: State) -> Tracked:
        """Find a frame's camera near a start.

        Args:
            gaussians: the map.
            reference: of a keyframe that sees much of the same.
            seen: the frame.
            start: where to begin; its exposure is the last frame's.
        """
        with kernels_only():
            state, fit, steps = self._align(reference, seen, start)
            lost = not self._trusted(fit, state)
            if self.settings.exact_steps and not lost:
                state, _, taken = self._refine(gaussians, seen, state, fit)
                steps += taken
        pose = start.T_world_camera if lost else state.T_world_camera
        return Tracked(pose, state.exposure, lost, steps, fit.loss, fit.inliers)

    def curvature(self, gaussians: Gaussians, seen: Seen, state: State) -> Float[Tensor, "8 8"]:
        """Give the curvature of the loss by twist, gain and offset at a state, float64 on the CPU."""
        with kernels_only():
            return self._equations(gaussians, seen, state).H

    def _trusted(self, fit: Fit, state: State) -> bool:
        s = self.settings
        plain = s.gain_range[0] < state.exposure[0] < s.gain_range[1]
        return plain and fit.inliers >= s.least_inliers and fit.seen >= s.least_seen

    def _align(self, reference: Reference, seen: Seen, start: State) -> tuple[State, Fit, int]:
        s, templates = self.settings, list(reference.templates)
        with torch.no_grad():
            levels = pyramid(level_of_frame(seen), len(templates) - 1)
            motion = inverse(start.T_world_camera.double()) @ reference.T_world_camera
            steps = s.coarse_steps[-len(levels) :]
            motion, exposure, fit = descend(templates, levels, (motion, start.exposure), steps, s.robust)
        return State(rigid(reference.T_world_camera @ inverse(motion)), exposure), fit, sum(steps)

    def _equations(self, gaussians: Gaussians, seen: Seen, state: State) -> Fit:
        camera = replace(seen.camera, T_world_camera=state.T_world_camera)
        with torch.no_grad():
            template = template_of(level_of_view(drawn(gaussians, camera), camera, self.settings.opaque))
            still = torch.eye(4, dtype=torch.float64)
            return equations(template, level_of_frame(seen), still, state.exposure, self.settings.robust)

    def _refine(self, gaussians: Gaussians, seen: Seen, state: State, fit: Fit) -> tuple[State, float, int]:
        """Take exact steps as long as they help."""
        best, loss, damping, taken = state, math.inf, 1e-4, 0
        gradient = torch.zeros(8, dtype=torch.float64)
        masks = None
        for _ in range(self.settings.exact_steps + 1):
            value, g, masks = self._exact(gaussians, seen, state, masks)
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

    def _exact(
        self, gaussians: Gaussians, seen: Seen, state: State, masks: Masks | None
    ) -> tuple[float, Tensor, Masks]:
        """Give the loss at a state, its gradient by twist, gain and offset through the rasterizer, and what counted."""
        pose = state.T_world_camera.clone().requires_grad_()
        knobs = torch.tensor(state.exposure, dtype=seen.image.dtype, device=seen.image.device).requires_grad_()
        view = drawn(gaussians, replace(seen.camera, T_world_camera=pose))
        masks = masks or masks_of(view, seen, self.settings)
        loss = frame_loss(view, seen, knobs, masks, self.settings.robust)
        by_pose, by_knobs = torch.autograd.grad(loss, (pose, knobs))
        gradient = torch.cat([twist_gradient(by_pose, pose.detach()), by_knobs.double().cpu()])
        return float(loss.detach()), gradient, masks


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


@dataclass(frozen=True)
class Masks:
    """Which pixels of a frame count; the same for all steps on it, so that their losses can be compared."""

    colour: Bool[Tensor, "H W"]
    depth: Bool[Tensor, "H W"]


@torch.no_grad()
def masks_of(view: View, seen: Seen, settings: TrackingSettings) -> Masks:
    """Give the pixels that the map covers and that lie away from depth edges, drawn or seen, on one surface in both."""
    level = level_of_view(view, seen.camera, settings.opaque)
    depth, _ = depth_of(view, seen.camera, settings.opaque)
    known = seen.depth > 0
    other = known & ((depth / torch.where(known, seen.depth, 1.0) - 1).abs() > settings.robust.same)
    colour = smooth_of(level) & ~other
    return Masks(colour, colour & smooth_of(level_of_frame(seen)))


def frame_loss(view: View, seen: Seen, knobs: Float[Tensor, " 2"], masks: Masks, robust: Robust) -> Float[Tensor, ""]:
    """Give the mean colour loss, plus the weighted mean relative depth loss.

    Args:
        view: drawn at the pose in question.
        seen: the frame.
        knobs: gain and offset.
        masks: which pixels count.
        robust: the loss.
    """
    assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
    error = seen.image - knobs[0] * view.colour - knobs[1]
    off = inverse_depth(view, seen.camera) / view.alpha.clamp_min(1e-6) * seen.depth - 1
    colour = _mean_huber(error, robust.colour, masks.colour[..., None])
    return colour + robust.depth_weight * _mean_huber(off, robust.depth, masks.depth)


def _mean_huber(error: Tensor, knee: float, mask: Tensor) -> Tensor:
    size = error.abs()
    each = torch.where(size < knee, size * size / (2 * knee), size - knee / 2)
    return (each * mask).sum() / (mask.sum() * (error.numel() // mask.numel())).clamp_min(1)
