"""COLMAP models: `sparse/0` (or `colmap/sparse/0`, or `sparse`) beside a folder `images`."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.checks import check_frames, check_size, inside, intrinsics, pose, side
from langfield.capture.colmap_files import ColmapCamera, ColmapImage, read_cameras, read_images, read_points
from langfield.capture.images import SUFFIXES, stored_size
from langfield.capture.points import make_points
from langfield.capture.types import Camera, Capture, Distortion, Frame
from langfield.errors import FormatError

_MODELS_AT = ("sparse/0", "colmap/sparse/0", "sparse")
_PICTURES_AT = ("images", "input")


def find(path: Path) -> Path | None:
    """Give the model's folder below `path`, or None; a folder without cameras is no model."""
    for place in _MODELS_AT:
        if any((path / place / f"cameras.{s}").is_file() for s in ("bin", "txt")):
            return path / place
    return None


def read(model: Path, allow_outside: bool = False, damaged: dict[str, str] | None = None) -> Capture:
    """Read a COLMAP model and the pictures beside it.

    Args:
        model: what `find` gave.
        allow_outside: accept pictures outside the scene's folder.
        damaged: see `langfield.capture.read_capture`.

    Raises:
        FormatError: a file is cut short, a picture is missing, a camera model has no counterpart here.
    """
    root = _root(model)
    pictures = next((root / name for name in _PICTURES_AT if (root / name).is_dir()), None)
    if pictures is None:
        raise FormatError("COLMAP model has no folder 'images' beside it", root)
    cameras, images = read_cameras(model), read_images(model)
    relative = pictures.relative_to(root)
    bare = []
    for image in images:
        if not isinstance(cameras.get(image.camera_id), ColmapCamera):
            raise FormatError(f"picture '{image.name:.120}' names camera {image.camera_id}, which is not there", model)
        path = inside(root, f"{relative}/{image.name}", allow_outside, model)
        bare.append(Frame(image.name, path, _camera(cameras[image.camera_id], image, model)))
    sizes = {frame.name: stored_size(frame.path, frame.name, damaged) for frame in check_frames(bare, model)}
    frames = check_frames([frame for frame in bare if sizes[frame.name] is not None], model)
    for frame in frames:
        check_size(frame.camera, sizes[frame.name] or (0, 0), frame.path)
    xyz, rgb = read_points(model)
    notes = _notes(model, pictures, {f.name for f in frames}, len(xyz))
    return Capture(root, frames, make_points(xyz, rgb, model), "colmap", "unknown", notes)


def _root(model: Path) -> Path:
    """Give the folder that holds sparse (or colmap) and images."""
    above = model.parent if model.name == "0" else model
    above = above.parent
    return above.parent if above.name == "colmap" and not (above / "images").is_dir() else above


def _notes(model: Path, pictures: Path, names: set[str], n_points: int) -> tuple[str, ...]:
    """Say what was left out."""
    notes = []
    present = {p.relative_to(pictures).as_posix() for p in pictures.rglob("*") if p.suffix.lower() in SUFFIXES}
    left_out = sorted(present - names)
    if left_out:
        notes.append(f"{len(left_out)} pictures are not in the COLMAP model, such as '{left_out[0]:.120}'")
    others = [p.name for p in model.parent.iterdir() if p.is_dir() and p.name.isdigit()] if model.name == "0" else []
    if len(others) > 1:
        notes.append(f"COLMAP found {len(others)} disconnected models; only {model.parent.name}/0 is used")
    if n_points == 0:
        notes.append("no start points in this capture; random ones will be made")
    return tuple(notes)


def _camera(camera: ColmapCamera, image: ColmapImage, model: Path) -> Camera:
    """Turn COLMAP's camera and world-to-camera pose into ours."""
    where = f"{model}, '{image.name:.120}'"
    (fx, fy, cx, cy), distortion = _lens(camera, where)
    K = intrinsics(fx, fy, cx, cy, where)
    width, height = side(camera.width, "width", where), side(camera.height, "height", where)
    return Camera(K, width, height, pose(_camera_to_world(image, where), where), distortion)


def _lens(camera: ColmapCamera, where: str) -> tuple[tuple[float, ...], Distortion | None]:
    """Give fx, fy, cx, cy and the distortion of a COLMAP camera."""
    p = camera.params
    single, double = (p[0], p[0], *p[1:3]), p[:4]
    match camera.model:
        case "SIMPLE_PINHOLE":
            return single, None
        case "PINHOLE":
            return double, None
        case "SIMPLE_RADIAL" | "RADIAL":
            return single, _perspective(p[3:])
        case "OPENCV" | "FULL_OPENCV":
            return double, _perspective(p[4:])
        case "SIMPLE_RADIAL_FISHEYE" | "RADIAL_FISHEYE" | "SIMPLE_FISHEYE":
            return single, Distortion("fisheye", p[3:])
        case "OPENCV_FISHEYE" | "FISHEYE":
            return double, Distortion("fisheye", p[4:])
    remedy = "undistort the model with 'colmap image_undistorter' first"
    raise FormatError(f"COLMAP camera model {camera.model} is not supported", where, remedy)


def _perspective(coefficients: tuple[float, ...]) -> Distortion | None:
    return Distortion("opencv", coefficients) if any(coefficients) else None


def _camera_to_world(image: ColmapImage, where: str) -> Float[Tensor, "4 4"]:
    """Invert COLMAP's world-to-camera quaternion and translation."""
    q = torch.tensor(image.quat_wxyz, dtype=torch.float64)
    if not torch.isfinite(q).all() or not 1e-6 < float(q.norm()) < 1e6:
        raise FormatError("camera rotation is not a quaternion", where, "remove this frame or repair its pose")
    w, x, y, z = (q / q.norm()).tolist()
    R = torch.tensor([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ], dtype=torch.float64)  # fmt: skip
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = R.T
    T[:3, 3] = -R.T @ torch.tensor(image.translation, dtype=torch.float64)
    return T
