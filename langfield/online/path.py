"""Where the camera was: every tracked frame by its keyframe, so that frames follow when mapping moves a keyframe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Tensor

from langfield.errors import FormatError
from langfield.online.types import Keyframe

FREE = -1
"""Instead of a keyframe's id: the pose is the world's own."""


@dataclass(frozen=True)
class Step:
    """One tracked frame."""

    index: int
    """Number in the stream."""
    time_s: float
    reference: int
    """Id of the keyframe it hangs on, or FREE."""
    T_reference_camera: Float[Tensor, "4 4"]
    """float64, world units."""
    name: str
    """Of the frame."""
    picture: str = ""
    """Its file, where the stream has one with its very pixels."""
    exposure: tuple[float, float] = (1.0, 0.0)
    """Gain and offset: picture = gain x drawn + offset."""


class CameraPath:
    """The tracked frames in the order they came."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def add(self, step: Step) -> None:
        """Put a frame at the end."""
        self.steps.append(step)

    def free(self, keyframe: Keyframe) -> None:
        """Take frames off a keyframe that goes; they stay where they are in the world."""
        pose = keyframe.camera.T_world_camera.double().cpu()
        for i, step in enumerate(self.steps):
            if step.reference == keyframe.id:
                moved = pose @ step.T_reference_camera
                self.steps[i] = replace(step, reference=FREE, T_reference_camera=moved)

    def poses(self, keyframes: Iterable[Keyframe]) -> list[Float[Tensor, "4 4"]]:
        """Give camera to world of every frame, from where the keyframes are now.

        Raises:
            FormatError: a keyframe is not there.
        """
        where = {k.id: k.camera.T_world_camera.double().cpu() for k in keyframes}
        where[FREE] = torch.eye(4, dtype=torch.float64)
        lost = {s.reference for s in self.steps} - where.keys()
        if lost:
            raise FormatError(f"the camera's path hangs on keyframes that are gone: {sorted(lost)[:5]}", None)
        return [where[s.reference] @ s.T_reference_camera for s in self.steps]

    def state(self) -> dict[str, Tensor]:
        """Give the path as tensors; names go apart (`names`)."""
        poses = [s.T_reference_camera for s in self.steps]
        return {
            "index": torch.tensor([s.index for s in self.steps], dtype=torch.int64),
            "time_s": torch.tensor([s.time_s for s in self.steps], dtype=torch.float64),
            "reference": torch.tensor([s.reference for s in self.steps], dtype=torch.int64),
            "exposure": torch.tensor([s.exposure for s in self.steps], dtype=torch.float64).reshape(-1, 2),
            "pose": torch.stack(poses) if poses else torch.zeros(0, 4, 4, dtype=torch.float64),
        }

    @property
    def names(self) -> list[list[str]]:
        """Names and files of the frames."""
        return [[s.name, s.picture] for s in self.steps]

    def load_state(self, state: Mapping[str, Tensor], names: object) -> None:
        """Go on from what `state` and `names` gave.

        Raises:
            FormatError: they do not fit.
        """
        parts = [state.get(name) for name in ("index", "time_s", "reference", "exposure", "pose")]
        listed = isinstance(names, list) and all(_two_texts(name) for name in names)
        many = len(names) if isinstance(names, list) else -1
        shapes = [None if p is None else tuple(p.shape) for p in parts]
        if not listed or shapes != [(many,), (many,), (many,), (many, 2), (many, 4, 4)]:
            raise FormatError(f"the camera's path is damaged: {many} names, shapes {shapes}", None, "start anew")
        index, time_s, reference, exposure = (p.tolist() for p in parts[:4] if p is not None)
        pose = state["pose"].double()
        self.steps = [
            Step(index[i], time_s[i], reference[i], pose[i], name, file, (exposure[i][0], exposure[i][1]))
            for i, (name, file) in enumerate(names)  # pyright: ignore[reportArgumentType]
        ]


def _two_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)


def tum_text(times_s: Iterable[float], poses: Iterable[Float[Tensor, "4 4"]]) -> str:
    """Give a path in TUM's format: a line "time tx ty tz qx qy qz qw" per frame, seconds and world units."""
    lines = ["# time tx ty tz qx qy qz qw"]
    for time_s, pose in zip(times_s, poses, strict=True):
        T = pose.double().cpu().numpy()
        turn = Rotation.from_matrix(np.asarray(T[:3, :3])).as_quat()
        lines.append(f"{time_s:.6f} " + " ".join(f"{v:.9g}" for v in (*T[:3, 3], *turn)))
    return "\n".join(lines) + "\n"
