"""Videos drawn by this machine along a path of places, with the question burnt in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import imageio
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from langfield.artefacts import atomic_path
from langfield.capture.types import Camera
from langfield.raster import RasterOptions, rasterize
from langfield.viewer import exports
from langfield.viewer.cameras import Pose
from langfield.viewer.desk import Desk
from langfield.viewer.rows import as_mask

SIZE = (640, 480)
FRAMES_PER_S = 12
BACKGROUND = 0.08


def path_through(poses: Sequence[Pose], per_leg: int = 48) -> list[Pose]:
    """Give places on the way through some, easing in and out of each."""
    out = []
    for a, b in pairwise(poses):
        for t in np.linspace(0, 1, per_leg, endpoint=False):
            s = t * t * (3 - 2 * t)
            out.append(_between(a, b, s))
    return [*out, poses[-1]]


def path_around(pose: Pose, steps: int = 96) -> list[Pose]:
    """Give places on a full turn about what a place looks at."""
    axis = pose.up / np.linalg.norm(pose.up)
    arm, out = pose.position - pose.look_at, []
    for angle in np.linspace(0, 2 * np.pi, steps, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        turned = arm * c + np.cross(axis, arm) * s + axis * (axis @ arm) * (1 - c)
        out.append(Pose(pose.look_at + turned, pose.look_at, pose.up, pose.fov_rad))
    return out


def _between(a: Pose, b: Pose, share: float) -> Pose:
    mix = [(1 - share) * p + share * q for p, q in ((a.position, b.position), (a.look_at, b.look_at), (a.up, b.up))]
    return Pose(mix[0], mix[1], mix[2], (1 - share) * a.fov_rad + share * b.fov_rad)


def camera_at(pose: Pose, width: int, height: int) -> Camera:
    """Give a place as a camera."""
    ahead = pose.look_at - pose.position
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-12)
    right = np.cross(ahead, pose.up)
    right = right / max(float(np.linalg.norm(right)), 1e-12)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.from_numpy(np.stack([right, np.cross(ahead, right), ahead], axis=1))
    matrix[:3, 3] = torch.from_numpy(np.asarray(pose.position, dtype=np.float64))
    focal = height / (2 * np.tan(pose.fov_rad / 2))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, matrix)


def burn_in(picture: UInt8[np.ndarray, "H W 3"], text: str) -> UInt8[np.ndarray, "H W 3"]:
    """Write words over the lower edge of a picture."""
    if not text:
        return picture
    image = Image.fromarray(picture)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=20)
    while font.getlength(text) > image.width - 24 and len(text) > 4:
        text = text[:-4] + "…"
    draw.rectangle([(0, image.height - 34), (image.width, image.height)], fill=(0, 0, 0))
    draw.text((12, image.height - 29), text, fill=(255, 255, 255), font=font)
    return np.asarray(image)


@torch.no_grad()
def draw(desk: Desk, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
    """Draw what the page shows, in the page's colours, from any place."""
    document, colours = desk.document, desk.colours()
    gaussians = exports.edited(desk.gaussians, document.edits)
    gone = as_mask(document.edits.hidden, document.count) | as_mask(document.edits.deleted, document.count)
    rows = np.flatnonzero(~gone)
    channels: Float[torch.Tensor, "N 3"] = torch.from_numpy(colours[rows]).to(gaussians.means) / 255
    view = rasterize(exports.take(gaussians, rows), camera, channels=channels, options=RasterOptions(colour=False))
    rgb = view.channels + (1 - view.alpha[..., None]) * BACKGROUND  # pyright: ignore
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def film(desk: Desk, path: Sequence[Pose], seconds: float) -> Path:
    """Write RUN/exports/video*/video.mp4.

    Args:
        desk: what is shown.
        path: places on the way; as many as the seconds take are picked evenly.
        seconds: how long it is.

    Raises:
        StorageError: the disk is full or read-only.
    """
    count = max(2, round(seconds * FRAMES_PER_S))
    picked = [path[i] for i in np.linspace(0, len(path) - 1, count).round().astype(int)]
    words = "   ".join(f"“{q.text}” {q.thing.score:.2f}" for q in desk.document.queries)
    file = exports.new_folder(desk.run.path, exports.EXPORTS, "video") / "video.mp4"
    with atomic_path(file) as temporary, imageio.get_writer(temporary, fps=FRAMES_PER_S, macro_block_size=8) as out:
        for pose in picked:
            out.append_data(burn_in(draw(desk, camera_at(pose, *SIZE)), words))  # pyright: ignore
    return file
