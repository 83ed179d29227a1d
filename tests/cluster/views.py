"""Views with 2D features in a store, from truth we make: Gaussians, id maps of balls and table, vectors with noise."""

from __future__ import annotations

import math

import numpy as np
import torch

from langfield.artefacts import content_key, write_tensors
from langfield.capture.types import Camera
from langfield.cluster.store import Store
from langfield.embed import FrameFeatures
from langfield.field.lift_solve import LiftView
from langfield.raster import Gaussians
from langfield.segment import Segments, save_segments
from tests.tiny import draw, ring_camera, tiny_gaussians

DIM = 32


def make_views(store: Store, many: int) -> tuple[Gaussians, list[tuple[Camera, FrameFeatures]], list[LiftView]]:
    """Give the Gaussians, cameras with features, and the same as the serial lifting takes it."""
    gaussians, thing = tiny_gaussians()
    true = torch.randn(4, DIM, generator=torch.Generator().manual_seed(3))
    noise = torch.Generator().manual_seed(4)
    found, serial = [], []
    for i in range(many):
        camera = ring_camera(2 * math.pi * i / many, 48, 36)
        _, masks = draw(gaussians, thing, camera)
        segments = _segments(list(masks.values()))
        vectors = true[[row % 4 for row in range(len(segments.levels))]]
        vectors = vectors + 0.3 * torch.randn(vectors.shape, generator=noise)
        vectors = torch.nn.functional.normalize(vectors, dim=1).half()
        key = content_key("test view", i, segments.ids, vectors)
        features = FrameFeatures(
            store.cache.path("segments", key, ".npz"), store.cache.path("embeddings", key, ".safetensors")
        )
        save_segments(features.segments, segments)
        write_tensors(features.embeddings, {"vectors": vectors})
        found.append((camera, features))
        serial.append(LiftView(camera, torch.from_numpy(segments.ids), vectors.float()))
    return gaussians, found, serial


def _segments(masks: list[np.ndarray]) -> Segments:
    """Three levels of the same four segments: the balls and what is left."""
    height, width = masks[0].shape
    rows = np.full((height, width), 3)
    for i, mask in enumerate(masks):
        rows[mask] = i
    ids = np.stack([rows + 4 * level for level in range(3)]).astype(np.int16)
    boxes = np.tile(np.array([0, 0, width, height], np.int32), (12, 1))
    return Segments(ids, boxes, np.repeat(np.arange(3), 4).astype(np.int16), np.ones(12, np.float32))
