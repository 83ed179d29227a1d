"""Any capture to upright, undistorted, size-limited PNG frames: all that later rooms ever see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from langfield import artefacts
from langfield.capture.images import picture_size, quarter_turns, read_gray, read_picture
from langfield.capture.key import capture_key
from langfield.capture.lens import pinhole_for, undistort_maps
from langfield.capture.points import make_points
from langfield.capture.types import Camera, Capture, Distortion, Frame
from langfield.errors import FormatError
from langfield.progress import track

VERSION = 1
"""Goes into the key; counts up whenever the same input would give other frames."""
MAX_ASPECT_CHANGE = 0.02


@dataclass(frozen=True)
class NormalizeSettings:
    """What normalised frames look like."""

    max_height_px: int = 1080
    """Taller pictures are made smaller, keeping their aspect (LangSplat's limit)."""
    upright: bool = True
    """Turn pictures (and their cameras with them) the way EXIF says is up."""


@dataclass(frozen=True)
class _Plan:
    """How one frame comes about, known from headers alone."""

    resized: Camera
    """The source camera at the new size, still distorted and not yet turned."""
    flat: Camera
    """The same without distortion."""
    turns: int
    """Clockwise quarter turns at the end."""
    final: Camera


def normalize_capture(
    capture: Capture, out: Path, settings: NormalizeSettings | None = None, made: Mapping[str, Frame] | None = None
) -> Capture:
    """Write a capture as upright, undistorted, size-limited PNG frames with pinhole cameras, resumably.

    Frames already in `out` from an interrupted run of the same capture and settings are kept; what
    another capture or other settings left there is replaced. `capture.json` is written last.

    Args:
        capture: from `read_capture`.
        out: a folder of its own; frames, masks, depth maps, points and capture.json go there.
        settings: see `NormalizeSettings`.
        made: frames that `normalize_frame` has made elsewhere, by name; they are linked where the file system can.

    Raises:
        FormatError: a picture, mask or lens cannot be used.
        StorageError: writing failed; finished frames stay.
    """
    settings = settings or NormalizeSettings()
    key = artefacts.content_key("normalize", VERSION, capture_key(capture), settings)
    if (out / "capture.json").is_file() and _key_in(out / "capture.json") == key:
        return read_normalized(out)
    plans = [_plan(frame, settings) for frame in capture.frames]
    _begin(out, key)
    entries, notes = [], list(capture.notes)
    for index, (frame, plan) in enumerate(track(list(zip(capture.frames, plans, strict=True)), "frames")):
        if made is not None and frame.name in made:
            _take_over(made[frame.name], out, f"{index:05d}.png")
        entries.append(_write_frame(frame, plan, out, f"{index:05d}.png"))
    if any(f.depth_path is not None and e["depth"] is None for f, e in zip(capture.frames, entries, strict=True)):
        notes.append("depth maps that are not PNG are left out")
    points = {"xyz": capture.points.xyz.numpy(), "rgb": capture.points.rgb.numpy()}
    artefacts.write_arrays(out / "points.npz", points)
    about = {"version": VERSION, "key": key, "world": capture.world, "unit": capture.unit, "notes": notes}
    artefacts.write_json(out / "capture.json", {**about, "frames": entries})
    return read_normalized(out)


def normalize_frame(frame: Frame, out: Path, name: str, settings: NormalizeSettings) -> Frame:
    """Write one frame as `normalize_capture` does, unless it is there.

    Args:
        frame: of a capture.
        out: folder for frames/NAME, masks/NAME and depth/NAME.
        name: ends in .png.
        settings: see `NormalizeSettings`.

    Raises:
        FormatError: a picture, mask or lens cannot be used.
        StorageError: writing failed.
    """
    return _frame_from(artefacts.plain(_write_frame(frame, _plan(frame, settings), out, name)), out)


def _take_over(made: Frame, out: Path, name: str) -> None:
    """Put a frame's files into `out` as links, or as copies."""
    for folder, path in (("frames", made.path), ("masks", made.mask_path), ("depth", made.depth_path)):
        target = out / folder / name
        if path is not None and not target.is_file():
            with artefacts.atomic_path(target) as temporary:
                try:
                    os.link(path, temporary)
                except OSError:
                    shutil.copyfile(path, temporary)


def read_normalized(out: Path) -> Capture:
    """Read what `normalize_capture` wrote.

    Raises:
        FormatError: not there, of another version, or damaged.
    """
    file = out / "capture.json"
    data = artefacts.read_json(file)
    try:
        if data["version"] != VERSION:
            raise FormatError(f"normalised capture is of version {data['version']}, not {VERSION}", file, "remove it")
        frames = tuple(_frame_from(entry, out) for entry in data["frames"])
        arrays = artefacts.read_arrays(out / "points.npz")
        points = make_points(arrays["xyz"], arrays["rgb"], out / "points.npz")
        capture = Capture(out, frames, points, data["world"], data["unit"], tuple(data["notes"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(f"normalised capture is damaged: {error}", file, "remove the folder and run again") from error
    missing = [f.path for f in frames if not f.path.is_file()]
    if missing:
        raise FormatError(f"{len(missing)} normalised frames are gone", missing[0], "remove the folder and run again")
    return capture


def _key_in(file: Path) -> str | None:
    """Give the key in a JSON file, None where it is no such file."""
    try:
        data = artefacts.read_json(file)
    except FormatError:
        return None
    return data.get("key") if isinstance(data, dict) else None


def _begin(out: Path, key: str) -> None:
    """Make `out` ready: frames of another key go, those of this key stay."""
    (out / "capture.json").unlink(missing_ok=True)
    if _key_in(out / "begun.json") != key:
        for folder in ("frames", "masks", "depth"):
            for old in (out / folder).glob("*.png"):
                old.unlink()
        artefacts.write_json(out / "begun.json", {"key": key})


def _plan(frame: Frame, settings: NormalizeSettings) -> _Plan:
    """Work out a frame's cameras from the picture's header."""
    camera = frame.camera
    stored_as_declared = picture_size(frame.path) == (camera.width, camera.height)
    turns = quarter_turns(frame.path) if settings.upright and stored_as_declared else 0
    tall = camera.width if turns % 2 else camera.height
    scale = min(1.0, settings.max_height_px / tall)
    resized = camera
    if scale < 1:
        resized = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
    flat = resized if camera.distortion is None else pinhole_for(resized, frame.path)
    return _Plan(resized, flat, turns, turned(flat, turns))


def turned(camera: Camera, turns: int) -> Camera:
    """Give the camera of the picture turned clockwise by quarter turns: same centre, rolled about its axis."""
    K, T = camera.K, camera.T_world_camera
    width, height = camera.width, camera.height
    roll = torch.tensor([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=T.dtype)
    for _ in range(turns % 4):
        new = torch.eye(3, dtype=K.dtype)
        new[0, 0], new[1, 1], new[0, 2], new[1, 2] = K[1, 1], K[0, 0], height - K[1, 2], K[0, 2]
        K, T, width, height = new, T @ roll, height, width
    if turns % 4 == 0:
        return camera
    return replace(camera, K=K, T_world_camera=T, width=width, height=height)


def _write_frame(frame: Frame, plan: _Plan, out: Path, name: str) -> dict[str, Any]:
    """Write one frame unless it is there, and give its entry for capture.json."""
    mask = f"masks/{name}" if frame.mask_path is not None else None
    depth = f"depth/{name}" if frame.depth_path is not None and frame.depth_path.suffix.lower() == ".png" else None
    for place, path in ((mask, frame.mask_path), (depth, frame.depth_path)):
        if place is not None and path is not None and not (out / place).is_file():
            _write_png(out / place, _reshape(_like(read_gray(path), frame.camera, path), plan, smooth=False))
    if not (out / "frames" / name).is_file():
        picture = read_picture(frame.path, (frame.camera.width, frame.camera.height))
        _write_png(out / "frames" / name, _reshape(picture, plan, smooth=True)[..., ::-1])
    changed = plan.final is not frame.camera
    return {
        "name": frame.name, "file": f"frames/{name}", "mask": mask, "depth": depth, "camera": plan.final,
        "source": frame.camera if changed else None, "split": frame.split,
    }  # fmt: skip


def _reshape(picture: np.ndarray, plan: _Plan, smooth: bool) -> np.ndarray:
    """Resize, undistort and turn pixel data, in this order."""
    size = (plan.resized.width, plan.resized.height)
    if (picture.shape[1], picture.shape[0]) != size:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smooth else cv2.INTER_NEAREST)
    if plan.resized.distortion is not None:
        across, down = undistort_maps(plan.resized, plan.flat)
        method = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
        picture = cv2.remap(picture, across, down, method, borderMode=cv2.BORDER_REPLICATE)
    return np.rot90(picture, -plan.turns)


def _like(array: np.ndarray, camera: Camera, path: Path) -> np.ndarray:
    """Check that a mask or depth map has its picture's aspect; its size may differ."""
    height, width = array.shape
    if abs(width * camera.height / (height * camera.width) - 1) > MAX_ASPECT_CHANGE:
        raise FormatError(f"map is {width}x{height} but its picture is {camera.width}x{camera.height}", path)
    return array


def _write_png(path: Path, picture: UInt8[np.ndarray, ...]) -> None:
    """Encode and write atomically."""
    data = cv2.imencode(".png", np.ascontiguousarray(picture), [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
    artefacts.write_bytes(path, data.tobytes())


def _frame_from(entry: dict[str, Any], out: Path) -> Frame:
    """Give a frame from its entry in capture.json."""
    source = _camera_from(entry["source"]) if entry["source"] is not None else None
    depth, mask = (out / entry[k] if entry[k] is not None else None for k in ("depth", "mask"))
    camera = _camera_from(entry["camera"])
    return Frame(entry["name"], out / entry["file"], camera, source, depth, mask, entry.get("split"))


def _camera_from(data: dict[str, Any]) -> Camera:
    """Give a camera from its JSON."""
    lens = data["distortion"]
    distortion = Distortion(lens["model"], tuple(lens["coefficients"])) if lens is not None else None
    K, T = (torch.tensor(data[k], dtype=torch.float64) for k in ("K", "T_world_camera"))
    return Camera(K.reshape(3, 3), data["width"], data["height"], T.reshape(4, 4), distortion, data["time_s"])
