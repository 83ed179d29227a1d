"""A small made map, its keyframes and what they show, for tests of the language map."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.rgbd import RgbdFrame
from langfield.online.types import Keyframe
from langfield.raster import Gaussians
from langfield.segment.types import Segments
from tests.field.test_lift import id_maps
from tests.raster import scenes

SEGMENTS, DIM = 5, 16


@dataclass(frozen=True)
class Shown:
    """A keyframe and its features."""

    keyframe: Keyframe
    segments: Segments
    vectors: Tensor


def keyframe(number: int, angle: float) -> Keyframe:
    camera = scenes.camera(angle=angle)
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    return Keyframe(number, RgbdFrame(number, 0.1 * number, image, None, camera, True, f"{number}.png"), camera)


def shown(number: int, seed: int) -> Shown:
    g = torch.Generator().manual_seed(seed * 97 + number)
    ids = id_maps(seed * 31 + number, many=SEGMENTS).numpy()
    segments = Segments(ids, np.zeros((SEGMENTS, 4), np.int32), np.zeros(SEGMENTS, np.int16), np.ones(SEGMENTS, "f4"))
    vectors = normalize(torch.randn(SEGMENTS, DIM, generator=g) + 0.5, dim=1)
    return Shown(keyframe(number, 0.05 * number), segments, vectors)


def moved(one: Keyframe, angle: float) -> Keyframe:
    return replace(one, camera=scenes.camera(angle=angle))


def rows_of(gaussians: Gaussians, kept: Tensor, added: Gaussians) -> Gaussians:
    both = zip(gaussians.tensors(), added.tensors(), strict=True)
    return Gaussians(*(torch.cat([old[kept], new]) for old, new in both))
