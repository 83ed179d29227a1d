"""What every pixel of the room (`room.py`) shows, as features whose words are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from langfield.capture.stream import RgbdFrame
from langfield.online.features import Features
from langfield.query.relevancy import CANONICALS
from langfield.segment.types import Segments
from langfield.settings import RunSettings
from tests.online.room import BOXES

DIM = 16
NAMES = ("room", "table", "vase", "lamp", "shelf", "plant")


def box_of(frame: RgbdFrame) -> np.ndarray:
    """Give the box [H, W] that each pixel shows, by where the pixel lies in space."""
    assert frame.depth_m is not None
    height, width = frame.depth_m.shape
    K, pose = frame.camera.K.numpy(), frame.camera.T_world_camera.double().numpy()
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1)
    at = (rays * frame.depth_m[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    gaps = [np.abs((np.abs(at - np.array(c)) / np.array(h)).max(-1) - 1) * min(h) for c, h in BOXES]
    return np.argmin(gaps, 0)


class KnownFeatures:
    """Segments that are the boxes, the same at all levels, each with the axis of its name and a little noise."""

    def __init__(self) -> None:
        self.settings = RunSettings(segmenter="components")
        self.seen: list[str] = []
        self._poses: dict[int, RgbdFrame] = {}

    def know(self, frames: Sequence[RgbdFrame]) -> None:
        """Remember the true poses of frames."""
        self._poses = {f.index: f for f in frames}

    def __call__(self, frame: RgbdFrame, picture: Path) -> Features:
        assert picture.is_file()
        self.seen.append(frame.name)
        which = box_of(self._poses[frame.index])
        there = [b for b in range(len(BOXES)) if (which == b).sum() > 20]
        ids, boxes = np.full((3, *which.shape), -1, np.int16), []
        for level in range(3):
            for i, box in enumerate(there):
                rows, columns = np.nonzero(which == box)
                ids[level][which == box] = level * len(there) + i
                boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        levels = np.repeat(np.arange(3, dtype=np.int16), len(there))
        table = Segments(ids, np.array(boxes, np.int32), levels, np.ones(len(levels), np.float32))
        noise = torch.randn(len(levels), DIM, generator=torch.Generator().manual_seed(frame.index))
        vectors = torch.nn.functional.normalize(torch.eye(DIM)[there].repeat(3, 1) + 0.02 * noise, dim=1)
        return Features(table, vectors, {"name": "known", "dim": DIM})


class Words:
    """A text encoder: each box's name is its axis; negatives and other words are axes of their own."""

    name, dim, provenance = "words", DIM, dict[str, object]()

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        order = [*NAMES, *CANONICALS]
        places = [order.index(t) if t in order else len(order) + sum(map(ord, t)) % (DIM - len(order)) for t in texts]
        return torch.eye(DIM)[places]
