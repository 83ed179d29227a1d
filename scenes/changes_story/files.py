"""The scene's files: pictures, depth, masks, cameras with times, names, start points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tabletop_render.cameras import View
from tabletop_render.files import write_mask, write_png, write_points
from tabletop_render.tracer import Truth

from changes_story.story import STEPS
from langfield.artefacts import write_bytes, write_json
from langfield.errors import FormatError

DEPTH_UNIT_M = 0.001
JPEG_QUALITY = 94


@dataclass(frozen=True)
class Shot:
    """One picture that is taken."""

    step: int
    camera: str
    """"moving" or "second"."""
    view: View

    @property
    def stem(self) -> str:
        """Number of the step from 1, and the camera: what all files of the shot are called."""
        return f"{self.step + 1:03d}_{self.camera}"

    @property
    def picture(self) -> str:
        """Path of its picture below the scene's folder."""
        return f"images/{self.stem}.jpg"

    @property
    def time(self) -> float:
        """Time from 0 (first step) to 1 (last)."""
        return self.step / (STEPS - 1)


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an RGB picture [H, W, 3] uint8, its colours at full resolution."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    done, data = cv2.imencode(".jpg", image[..., ::-1], settings)
    if not done:
        raise FormatError("picture could not be encoded", path)
    write_bytes(path, data.tobytes())


def write_truth(out: Path, shot: Shot, truth: Truth) -> None:
    """Write one shot's depth and instances."""
    write_mask(out / "masks" / f"{shot.stem}.png", truth.instance)
    depth = np.round(truth.depth / DEPTH_UNIT_M).clip(0, 65535).astype(np.uint16)
    write_png(out / "depth" / f"{shot.stem}.png", depth)


def write_cameras(out: Path, shots: list[Shot], seed: int) -> None:
    """Write transforms.json with the moving camera's frames and transforms_second.json with the other's."""
    for name, camera in (("transforms.json", "moving"), ("transforms_second.json", "second")):
        write_json(out / name, transforms([s for s in shots if s.camera == camera], seed))


def transforms(shots: list[Shot], seed: int) -> dict[str, Any]:
    """Give nerfstudio's transforms.json with a time per frame: OpenGL camera axes, world +z up, metres."""
    v = shots[0].view
    frames = [
        {
            "file_path": shot.picture,
            "depth_file_path": f"depth/{shot.stem}.png",
            "instance_file_path": f"masks/{shot.stem}.png",
            "time": round(shot.time, 9),
            "step": shot.step,
            "transform_matrix": shot.view.pose.round(9).tolist(),
        }
        for shot in shots
    ]
    return {
        "camera_model": "PINHOLE", "w": v.width, "h": v.height, "fl_x": v.focal, "fl_y": v.focal,
        "cx": v.width / 2, "cy": v.height / 2, "unit": "metre", "depth_unit_scale_factor": DEPTH_UNIT_M,
        "ply_file_path": "points3D.ply", "seed": seed,
        "note": f"camera to world, OpenGL axes, world +z up; time is step / {STEPS - 1}",
        "frames": frames,
    }  # fmt: skip


def write_names(out: Path, names: list[str]) -> None:
    """Write the instances' names by id."""
    write_json(out / "names.json", {str(k + 1): name for k, name in enumerate(names)})


def write_start_points(out: Path, shots: list[Shot], truths: list[Truth], count: int, seed: int) -> None:
    """Write start points: places that the moving camera sees at any time, 2 mm of noise, the pictures' colours."""
    rng = np.random.default_rng(seed)
    moving = [(s, t) for s, t in zip(shots, truths, strict=True) if s.camera == "moving"]
    share = -(-count // len(moving))
    xyz, rgb = [], []
    for shot, truth in moving:
        picture = cv2.imread(str(out / shot.picture))[..., ::-1]
        weight = np.where(truth.instance > 0, 3.0, 1.0) * (truth.depth > 0)
        pick = rng.choice(weight.size, share, replace=False, p=(weight / weight.sum()).ravel())
        xyz.append(truth.position.reshape(-1, 3)[pick] + rng.normal(0, 0.002, (share, 3)))
        rgb.append(picture.reshape(-1, 3)[pick])
    write_points(out / "points3D.ply", np.concatenate(xyz)[:count], np.concatenate(rgb)[:count])
