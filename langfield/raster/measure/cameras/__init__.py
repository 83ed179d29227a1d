"""Cameras kept with the code, so that a measured picture is the same picture everywhere."""

from __future__ import annotations

from pathlib import Path

import torch

from langfield.artefacts import read_json
from langfield.capture.types import Camera
from langfield.errors import FormatError

FOLDER = Path(__file__).parent


def kept_camera(name: str) -> Camera:
    """Give a camera kept with the code.

    Args:
        name: "playbot" (640x480, the robot of the playbot splats from the front, y down).

    Raises:
        FormatError: there is none of that name, or its file does not hold a camera.
    """
    path = FOLDER / f"{name}.json"
    data = read_json(path)
    try:
        fx, fy, cx, cy = (float(data[key]) for key in ("fx", "fy", "cx", "cy"))
        K = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
        T = torch.tensor(data["T_world_camera"], dtype=torch.float64).reshape(4, 4)
        return Camera(K, int(data["width"]), int(data["height"]), T)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FormatError(f"not a camera: {error}", path) from error
