"""A posed capture (transforms.json, COLMAP) as a stream: its pictures in order of their names, as if filmed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from langfield.capture import colmap, read_capture, transforms
from langfield.capture.checks import number
from langfield.capture.rgbd import Recorded, Shot, SourceSettings, recorded
from langfield.capture.types import Camera, Capture, Frame
from langfield.errors import FormatError

FRAMES_PER_S = 30.0
"""A capture has no clock; this one is made up."""
DEPTH_UNIT = 1e-3
"""World units of one step of a depth file, where transforms.json does not say (nerfstudio's own)."""


def find(path: Path) -> Path | None:
    """Give `path` where it holds a posed capture that may have been filmed."""
    return path if any(kind.find(path) is not None for kind in (transforms, colmap)) else None


def read(folder: Path, settings: SourceSettings) -> Recorded:
    """Read a capture as a stream.

    Args:
        folder: what `find` gave.
        settings: see `SourceSettings`.

    Raises:
        FormatError: the capture is damaged, or its pictures are not all of one camera.
    """
    capture = read_capture(folder)
    frames = sorted(capture.frames, key=lambda frame: frame.name)
    shots = [_shot(frame, i) for i, frame in enumerate(frames)]
    source = recorded(folder.resolve().name, shots, _camera(frames, folder), 1 / _depth_unit(folder), settings)
    return replace(source, unit=capture.unit, notes=(*source.notes, *_notes(capture)))


def _shot(frame: Frame, index: int) -> Shot:
    return Shot(index / FRAMES_PER_S, frame.path, frame.depth_path, frame.camera.T_world_camera.double().numpy())


def _camera(frames: list[Frame], folder: Path) -> Camera:
    """Give the camera of all frames, at no pose."""
    first = frames[0].camera
    for frame in frames:
        one = frame.camera
        same = (one.width, one.height, one.distortion) == (first.width, first.height, first.distortion)
        if not same or not np.allclose(one.K.numpy(), first.K.numpy(), rtol=1e-6):
            raise FormatError(
                f"'{frame.name}' is of another camera than '{frames[0].name}'", folder,
                "a stream has one camera: let 'langfield prepare' make the capture with one",
            )  # fmt: skip
    return first


def _depth_unit(folder: Path) -> float:
    """Give how many world units a step of a depth file is."""
    file = transforms.find(folder)
    value = transforms.read_meta(file).get("depth_unit_scale_factor", DEPTH_UNIT) if file is not None else DEPTH_UNIT
    unit = number(value, "depth_unit_scale_factor", file or folder)
    if unit <= 0:
        raise FormatError(f"depth_unit_scale_factor is {unit}", file, "give metres of one step, above 0")
    return unit


def _notes(capture: Capture) -> tuple[str, ...]:
    return tuple(note for note in capture.notes if "start points" not in note)
