"""Tracking and mapping together: RGB-D frames in, a camera path, keyframes and Gaussians out (MonoGS, 2312.06741)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera
from langfield.device import raster_device
from langfield.errors import FormatError
from langfield.online import keyframes as choice
from langfield.online.align import grey_of
from langfield.online.keyframes import Cloud, cloud_of, cloud_of_grid, least_novel, next_window
from langfield.online.mapping import Mapped, Mapper
from langfield.online.pose import foretold
from langfield.online.rgb.depths import filled
from langfield.online.surface import depth_of
from langfield.online.tracking import PLAIN, Reference, Seen, State, Tracked, Tracker, drawn, seen_of
from langfield.online.types import Keyframe, MapChange, OnlineSettings
from langfield.raster import Gaussians, rasterize
from langfield.raster.threads import kernels_only

STATE_VERSION = 1


@dataclass(frozen=True)
class KeyframeStep:
    """What adding a keyframe did."""

    id: int
    changes: tuple[MapChange, ...]
    """To the rows of the Gaussians, in order."""
    moved: tuple[int, ...]
    """Keyframes whose pose or exposure is another now."""
    dropped: tuple[int, ...]
    """Keyframes that went, so that the cap holds."""


class Slam:
    """Follows a camera and maps what it sees; the same frames and settings always give the same map."""

    def __init__(self, settings: OnlineSettings) -> None:
        """Start with nothing.

        Raises:
            SettingsError: a setting lies outside its range.
            EnvironmentProblem: the device is not there.
        """
        choice.check(settings.keyframes)
        self.settings = settings
        self.device = raster_device(settings.device)
        self._tracker = Tracker(settings.tracking)
        self._mapper = Mapper(settings.mapping, settings.poses == "tracked", settings.seed, self.device)
        self._kept: dict[int, Mapped] = {}
        self._frames: dict[int, RgbdFrame] = {}
        self._clouds: dict[int, Cloud] = {}
        self._window: list[int] = []
        self._references: dict[int, Reference] = {}
        """Of the map as it is now."""
        self._next = 0
        self._path: list[State] = []
        """The last two frames' poses, the older first; one where the camera was just found again."""
        self._lost = False

    @property
    def gaussians(self) -> Gaussians:
        """The map as it is now."""
        return self._mapper.rows.gaussians

    @property
    def keyframes(self) -> tuple[Keyframe, ...]:
        """All kept keyframes with their present poses: the window first, newest first, then the others by age."""
        others = [k for k in self._kept if k not in self._window]
        return tuple(self._keyframe(k) for k in (*self._window, *others))

    @property
    def window(self) -> tuple[int, ...]:
        """Ids of the keyframes that are worked on, newest first."""
        return tuple(self._window)

    @property
    def mapper(self) -> Mapper:
        """What learns the map."""
        return self._mapper

    def _keyframe(self, key: int) -> Keyframe:
        kept = self._kept[key]
        return Keyframe(key, self._frames[key], kept.camera, kept.state.exposure)

    def track(self, frame: RgbdFrame) -> Tracked:
        """Find the camera of the next frame; the map stays as it is.

        The first frame's given pose, or the identity, says where the world is. With given poses nothing is searched,
        and a frame without one is lost.

        Args:
            frame: at working size, without distortion.
        """
        if self.settings.poses == "given":
            return self._given(frame)
        if not self._kept:
            return Tracked(frame.camera.T_world_camera.double().cpu(), PLAIN, False, 0, 0.0)
        with kernels_only():
            found = self._followed(seen_of(frame, self.device))
        self._remember(found)
        return found

    def _followed(self, seen: Seen) -> Tracked:
        found = None
        if not self._lost:
            found = self._tracker.track(self.gaussians, self._reference(self._window[0]), seen, self._predicted())
        if found is None or found.lost:
            found = self._found_again(seen) or found or self._still_lost()
        return found

    def _given(self, frame: RgbdFrame) -> Tracked:
        last = self._path[-1] if self._path else State(torch.eye(4, dtype=torch.float64))
        pose = frame.camera.T_world_camera.double().cpu() if frame.has_pose else last.T_world_camera
        if frame.has_pose:
            self._path = [*self._path, State(pose, last.exposure)][-2:]
        return Tracked(pose, last.exposure, not frame.has_pose, 0, 0.0)

    def _predicted(self) -> State:
        """Give the next pose as if the camera went on as it did (constant velocity)."""
        if len(self._path) < 2:
            return self._path[-1]
        before, last = (s.T_world_camera for s in self._path)
        return State(foretold(before, last), self._path[-1].exposure)

    def _still_lost(self) -> Tracked:
        last = self._path[-1]
        return Tracked(last.T_world_camera, last.exposure, True, 0, float("inf"), 0.0)

    def _reference(self, key: int) -> Reference:
        """Draw the map from a keyframe, unless that has been done since it last changed."""
        if key not in self._references:
            self._references[key] = self._tracker.reference(self.gaussians, self._kept[key].camera)
        return self._references[key]

    def _found_again(self, seen: Seen) -> Tracked | None:
        """Try the last keyframe, then those that look most like the frame, each from where it stands."""
        likely = [self._window[0], *alike(seen, self._kept)[: self.settings.tracking.candidates]]
        for k in dict.fromkeys(likely):
            found = self._tracker.track(self.gaussians, self._reference(k), seen, self._kept[k].state)
            if not found.lost:
                return replace(found, relocalised=True)
        return None

    def _remember(self, found: Tracked) -> None:
        self._lost = found.lost
        if not found.lost:
            before = [] if found.relocalised else self._path[-1:]
            self._path = [*before, State(found.T_world_camera, found.exposure)]

    def wants_keyframe(self, tracked: Tracked, frame: RgbdFrame) -> bool:
        """Say whether a tracked frame should become a keyframe; a lost one never does.

        Args:
            tracked: what `track` gave for it.
            frame: the frame.
        """
        if tracked.lost:
            return False
        if not self._kept:
            return True
        last = self._window[0]
        apart = frame.index - self._frames[last].index
        with kernels_only():
            cloud = self._cloud(self._at(tracked, frame))
        return choice.wanted(self._clouds[last], cloud, apart, self.settings.keyframes)

    def _at(self, tracked: Tracked, frame: RgbdFrame) -> Seen:
        seen = seen_of(frame, self.device)
        return replace(seen, camera=replace(frame.camera, T_world_camera=tracked.T_world_camera))

    def _cloud(self, seen: Seen) -> Cloud:
        """Give a view's grid, from the map where the frame has no depth of its own."""
        own = seen.has_depth and not self.settings.pictures_alone
        if own or len(self._mapper.rows) == 0:
            return cloud_of(seen.depth, seen.camera)
        with torch.no_grad():
            view = rasterize(self.gaussians, seen.camera)
        there, depth = view.alpha > 0.5, view.depth / view.alpha.clamp_min(1e-6)
        elsewhere = depth[there].median() if bool(there.any()) else 0.0  # what the map lacks is seen all the same
        return cloud_of(torch.where(there, depth, elsewhere), seen.camera)

    def depth_at(self, camera: Camera) -> Float[np.ndarray, "H W"]:
        """Give the depth of the map's surface from a camera, world units, float32; 0 where the map shows little."""
        if len(self._mapper.rows) == 0:
            return np.zeros((camera.height, camera.width), np.float32)
        with torch.no_grad(), kernels_only():
            return depth_of(drawn(self.gaussians, camera), camera, self.settings.mapping.thin)[0].cpu().numpy()

    def add_keyframe(self, frame: RgbdFrame, tracked: Tracked) -> KeyframeStep:
        """Make a frame a keyframe: add Gaussians, learn on the window, refine its poses, prune, hold the caps.

        Args:
            frame: the frame, as `track` saw it.
            tracked: what `track` gave for it; must not be lost.

        Raises:
            FormatError: the camera was lost on this frame.
        """
        if tracked.lost:
            raise FormatError("a frame whose camera is lost cannot become a keyframe", frame.name)
        with kernels_only():
            return self._added(frame, tracked)

    def _added(self, frame: RgbdFrame, tracked: Tracked) -> KeyframeStep:
        new = self._entered(frame, tracked)
        self._references.clear()
        changes = [self._mapper.insert(new, self._filled(frame))]
        self._clouds[new.id] = self._cloud(self._at(tracked, frame))
        self._window = next_window(self._window, new.id, self._clouds, self.settings.keyframes)
        moved = self._learn(new)
        changes.append(self._mapper.prune())
        dropped = self._evict_keyframes()
        if len(self._mapper.rows) > self.settings.caps.max_gaussians:
            changes.append(self._mapper.evict(self.settings.caps.max_gaussians, list(self._kept.values())))
        self._path = [*self._path[:-1], new.state]  # tracking goes on from where mapping has moved the keyframe
        return KeyframeStep(new.id, tuple(changes), tuple(k for k in moved if k not in dropped), dropped)

    def _filled(self, frame: RgbdFrame) -> Tensor | None:
        """Give depth for new Gaussians between the few pixels where points tell it; None where a frame has its own."""
        depth = filled(frame) if self.settings.pictures_alone else None
        return None if depth is None else torch.from_numpy(depth).to(self.device)

    def _entered(self, frame: RgbdFrame, tracked: Tracked) -> Mapped:
        state, seen = State(tracked.T_world_camera, tracked.exposure), self._at(tracked, frame)
        curvature = torch.eye(8, dtype=torch.float64)
        if self._kept:
            curvature = self._tracker.curvature(self.gaussians, seen, state)
        if self.settings.poses == "given":
            curvature[:6, 6:], curvature[6:, :6] = 0, 0
        new = Mapped(self._next, seen, state, curvature)
        self._kept[new.id], self._frames[new.id] = new, frame
        self._next += 1
        return new

    def _learn(self, new: Mapped) -> tuple[int, ...]:
        """Learn on the window and the past; give the keyframes that moved."""
        window, steps = [self._kept[k] for k in self._window], self.settings.mapping.steps
        before = [one.state.T_world_camera for one in window]
        past = [kept for k, kept in self._kept.items() if k not in self._window]
        self._mapper.learn(window, past, steps if new.id else self.settings.mapping.first_steps)
        moved = [m for m, pose in zip(window, before, strict=True) if not torch.equal(m.state.T_world_camera, pose)]
        for one in moved:
            self._clouds[one.id] = replace(self._clouds[one.id], camera=one.camera)
        return tuple(one.id for one in moved)

    def _evict_keyframes(self) -> tuple[int, ...]:
        dropped = []
        while len(self._kept) > self.settings.caps.max_keyframes:
            may_go = [k for k in self._kept if k not in self._window and k != 0]
            may_go = may_go or [k for k in self._window[1:] if k != 0]
            if not may_go:
                break
            gone = least_novel(may_go, self._clouds)
            for table in (self._kept, self._frames, self._clouds):
                del table[gone]
            self._window = [k for k in self._window if k != gone]
            dropped.append(gone)
        return tuple(dropped)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that decides how this goes on, but the keyframes' frames: tensors, and facts that JSON can hold.

        The tensors named `keyframe.ID.` are the same ones every time; nobody may write into any of them.
        """
        tensors = {f"rows.{name}": t for name, t in self._mapper.rows.state().items()}
        for k, kept in self._kept.items():
            tensors[f"pose.{k}"] = kept.state.T_world_camera
            tensors[f"keyframe.{k}.curvature"] = kept.curvature
            tensors[f"keyframe.{k}.cloud"] = self._clouds[k].depth
        tensors |= {f"path.{i}": state.T_world_camera for i, state in enumerate(self._path)}
        exposures = {str(k): list(kept.state.exposure) for k, kept in self._kept.items()}
        path = [list(state.exposure) for state in self._path]
        facts = {"version": STATE_VERSION, "next": self._next, "window": list(self._window), "lost": self._lost}
        return tensors, {**facts, "scale": self._mapper.scale, "exposures": exposures, "path": path}

    def load_state(
        self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], frames: Mapping[int, RgbdFrame]
    ) -> None:
        """Go on from what `state` gave.

        Args:
            tensors: of the state.
            facts: of the state.
            frames: of each kept keyframe, by its id.

        Raises:
            FormatError: something is missing or does not fit together.
        """
        try:
            self._load(tensors, facts, frames)
        except (KeyError, ValueError, TypeError, IndexError, RuntimeError, AttributeError) as error:
            raise FormatError(f"the state of the map is incomplete: {error}", "state") from error

    def _load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], frames: Mapping[int, RgbdFrame]) -> None:
        if facts["version"] != STATE_VERSION:
            raise FormatError(f"the state of the map is of version {facts['version']!r}, not {STATE_VERSION}", "state")
        self._mapper.set_scale(float(facts["scale"]))
        rows = {name.removeprefix("rows."): t for name, t in tensors.items() if name.startswith("rows.")}
        self._mapper.rows.load_state(rows)
        self._kept, self._frames, self._clouds, self._references = {}, {}, {}, {}
        for k in sorted(int(key) for key in facts["exposures"]):
            state = _state(tensors[f"pose.{k}"], facts["exposures"][str(k)])
            curvature = _sized(tensors[f"keyframe.{k}.curvature"], 8)
            self._kept[k] = Mapped(k, seen_of(frames[k], self.device), state, curvature)
            self._frames[k] = frames[k]
            self._clouds[k] = cloud_of_grid(tensors[f"keyframe.{k}.cloud"].double(), self._kept[k].camera)
        self._window = [int(k) for k in facts["window"] if self._kept[int(k)]]
        self._next, self._lost = int(facts["next"]), bool(facts["lost"])
        self._path = [_state(tensors[f"path.{i}"], exposure) for i, exposure in enumerate(facts["path"])]


def _state(pose: Tensor, exposure: list[float]) -> State:
    gain, offset = (float(value) for value in exposure)
    return State(_sized(pose, 4), (gain, offset))


def _sized(matrix: Tensor, side: int) -> Tensor:
    if tuple(matrix.shape) != (side, side):
        raise ValueError(f"a matrix of shape {list(matrix.shape)} where {side}x{side} belongs")
    return matrix.double()


def alike(seen: Seen, kept: Mapping[int, Mapped]) -> list[int]:
    """Give keyframes by how much their pictures look like a frame's, most alike first (correlation of thumbnails)."""
    own = _thumbnail(seen)
    return sorted(kept, key=lambda k: (-float(own @ _thumbnail(kept[k].seen)), k))


def _thumbnail(seen: Seen) -> Float[Tensor, " P"]:
    small = adaptive_avg_pool2d(grey_of(seen.image)[None, None], (15, 20)).flatten().cpu()
    centred = small - small.mean()
    return centred / centred.norm().clamp_min(1e-6)
