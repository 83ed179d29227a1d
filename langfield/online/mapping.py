"""The map learns from its keyframes: windowed steps on colour and depth, pruning, a cap (MonoGS, section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.field.photometric import photometric_loss, step_seed
from langfield.online.align import Fit
from langfield.online.insertion import depth_to_use, lacking, new_gaussians
from langfield.online.mapping_settings import MappingSettings
from langfield.online.pose import twist_gradient
from langfield.online.rows import Rates, Rows
from langfield.online.surface import inverse_depth
from langfield.online.tracking import Seen, State, drawn, stepped
from langfield.online.types import MapChange
from langfield.raster import Gaussians, View, scatter_segments, to_screen
from langfield.raster.threads import kernels_only

ExtraLoss = Callable[[Gaussians, Camera, int], Tensor]
"""A loss of the Gaussians and the pose of a keyframe, which is named by its id."""
LONGEST_MOVE = 0.0005
"""A pose moves less than this share of the scene's size in one mapping step; a longer step is not taken."""


@dataclass
class Mapped:
    """A keyframe as mapping works on it."""

    id: int
    seen: Seen
    """At the pose it was tracked at; `state` holds the present one."""
    state: State
    curvature: Float[Tensor, "8 8"]
    """Of the tracking loss by twist, gain and offset; float64."""

    @property
    def camera(self) -> Camera:
        """The camera at the present pose."""
        return replace(self.seen.camera, T_world_camera=self.state.T_world_camera)


class Mapper:
    """Holds the Gaussians, and makes them look like the keyframes."""

    def __init__(self, settings: MappingSettings, refine_poses: bool, seed: int, device: torch.device) -> None:
        """Start with an empty map; `refine_poses` lets the poses of the window's keyframes move.

        Raises:
            SettingsError: a setting lies outside its range.
        """
        settings.check()
        self.settings, self.refine_poses, self.seed, self.device = settings, refine_poses, seed, device
        self.scale = 0.0
        """Median depth of the first keyframe, world units; 0 before it."""
        self.rows = self._rows(1.0)
        self.extra_loss: ExtraLoss | None = None
        """Added to the loss of every step, for what else is to learn from the same drawings."""
        self.between: Callable[[], None] | None = None
        """Called before every step: the place to let others have the processor."""

    def _rows(self, scale: float) -> Rows:
        return Rows((self.settings.sh_degree + 1) ** 2, Rates(self.settings.lr_means * scale), self.device)

    def set_scale(self, scale: float) -> None:
        """Say how large the scene is, world units, before the first Gaussian comes."""
        self.scale, self.rows = scale, self._rows(scale)

    def insert(self, new: Mapped, filled: Float[Tensor, "H W"] | None = None) -> MapChange:
        """Add Gaussians where a keyframe sees what the map lacks.

        Args:
            new: the keyframe.
            filled: depth to put them at, world units, where the keyframe's own is known at single pixels only.
        """
        s, seen = self.settings, replace(new.seen, camera=new.camera)
        seen = seen if filled is None else replace(seen, depth=filled)
        view = None
        if len(self.rows):
            with torch.no_grad(), kernels_only():
                view = drawn(self.rows.gaussians, seen.camera)
        depth = depth_to_use(view, seen, step_seed(self.seed, new.id, "depth"), s)
        if self.scale == 0.0 and bool((depth > 0).any()):
            self.set_scale(float(depth[depth > 0].median()))
        before = len(self.rows)
        self.rows.add(new_gaussians(lacking(view, seen, s), depth, seen, new.id, s))
        return MapChange(torch.arange(before), len(self.rows) - before)

    def learn(self, window: Sequence[Mapped], past: Sequence[Mapped], steps: int) -> None:
        """Take steps on the window and some past keyframes; of the window, poses and exposures learn too.

        The first keyframe of all stays where and as it is: it says where the world lies and how bright it is.

        Args:
            window: newest first.
            past: keyframes outside the window.
            steps: how many.
        """
        settled = min(5, steps // 3)  # what was just added must first fit where it came from
        with kernels_only():
            for step, place in enumerate(self._order(len(window), len(past), steps, window[0].id)):
                if self.between is not None:
                    self.between()
                one = window[place] if place >= 0 else past[-1 - place]
                self._step(one, place >= 0 and one.id != 0 and step >= settled)

    def _order(self, window: int, past: int, steps: int, key: int) -> list[int]:
        """Give which keyframe each step draws: a place in the window, or -1 - place among the past."""
        s = self.settings
        rng = np.random.default_rng((self.seed, key))
        out, others = [], 0
        for step in range(steps):
            if past and step % s.past == s.past - 1:
                out.append(-1 - int(rng.integers(past)))
            elif window == 1 or step % s.newest == 0:
                out.append(0)
            else:
                others += 1
                out.append(1 + others % (window - 1))
        return out

    def _step(self, one: Mapped, refine: bool) -> None:
        leaves = self.rows.leaves()
        pose = one.state.T_world_camera.clone().requires_grad_(refine)
        knobs = torch.tensor(one.state.exposure, dtype=torch.float32, device=self.device).requires_grad_(refine)
        camera = replace(one.seen.camera, T_world_camera=pose)
        view = drawn(leaves, camera)
        visible = (view.radii > 0).all(1)
        loss = self._loss(view, one.seen, knobs) + self._isotropy(leaves, visible)
        if self.extra_loss is not None:
            loss = loss + self.extra_loss(leaves, camera, one.id)
        by = torch.autograd.grad(loss, [*leaves.tensors(), *([pose, knobs] if refine else [])])
        self.rows.learn(by[:5], visible)
        if refine:
            self._move(one, *by[5:])

    def _loss(self, view: View, seen: Seen, knobs: Tensor) -> Tensor:
        assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
        loss = photometric_loss(knobs[0] * view.colour + knobs[1], seen.image, self.settings.ssim_weight)
        known = seen.depth > 0
        off = (inverse_depth(view, seen.camera) * seen.depth - view.alpha).abs() * known
        missing = (1 - view.alpha) * known
        weight, many = self.settings.depth_weight, known.sum().clamp_min(1)
        return loss + weight * off.sum() / many + self.settings.cover_weight * missing.sum() / many

    def _isotropy(self, leaves: Gaussians, visible: Bool[Tensor, " N"]) -> Tensor:
        wide = leaves.log_scales[:, :2]
        spread = wide - wide.mean(1, keepdim=True)
        return self.settings.isotropy_weight * (spread.square().sum(1) * visible).sum() / visible.sum().clamp_min(1)

    def _move(self, one: Mapped, by_pose: Float[Tensor, "4 4"], by_knobs: Float[Tensor, " 2"]) -> None:
        twist = twist_gradient(by_pose, one.state.T_world_camera) if self.refine_poses else torch.zeros(6)
        g = torch.cat([twist.double(), by_knobs.double().cpu()])
        after = stepped(one.state, Fit(one.curvature, -g, 0.0, 1.0, 1.0), 1e-2, self.settings.pose_share)
        far = (after.T_world_camera[:3, 3] - one.state.T_world_camera[:3, 3]).norm()
        if float(far) < LONGEST_MOVE * self.scale:
            one.state = after

    def prune(self) -> MapChange:
        """Drop Gaussians that are faint or far too wide, or not finite, once they have had time to learn."""
        g, s = self.rows.gaussians, self.settings
        faint = torch.sigmoid(g.logit_opacities) < s.drop_opacity
        wide = g.log_scales.amax(1).exp() > s.widest * max(self.scale, 1e-9)
        finite = torch.cat([t.reshape(len(g), -1) for t in g.tensors()], 1).isfinite().all(1)
        return self._keep(finite & ~((faint | wide) & (self.rows.age >= s.young)))

    def evict(self, most: int, keyframes: Sequence[Mapped]) -> MapChange:
        """Drop Gaussians beyond a cap: first those that contribute least to any keyframe.

        Args:
            most: the cap.
            keyframes: all that are kept.
        """
        if len(self.rows) <= most:
            return self._keep(torch.ones(len(self.rows), dtype=torch.bool, device=self.device))
        order = self.contribution(keyframes).argsort(descending=True, stable=True)
        stay = torch.zeros(len(self.rows), dtype=torch.bool, device=self.device)
        stay[order[:most]] = True
        return self._keep(stay)

    def contribution(self, keyframes: Sequence[Mapped]) -> Float[Tensor, " N"]:
        """Give the most light each Gaussian adds to any keyframe: the largest of its sums of blend weights."""
        g = self.rows.gaussians
        most = torch.zeros(len(g), device=self.device)
        for keyframe in keyframes:
            whole = torch.zeros((keyframe.camera.height, keyframe.camera.width), dtype=torch.int32, device=self.device)
            with kernels_only():
                most = torch.maximum(most, scatter_segments(to_screen(g, keyframe.camera), whole).total)
        return most

    def _keep(self, stay: Bool[Tensor, " N"]) -> MapChange:
        kept = stay.nonzero()[:, 0]
        if len(kept) < len(self.rows):
            self.rows.keep(kept)
        return MapChange(kept.cpu(), 0)
