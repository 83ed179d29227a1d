"""A scene whose answer is known: two blobs of Gaussians, two words, and a text encoder that knows both."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.query.relevancy import CANONICALS
from langfield.raster import rasterize
from langfield.raster.types import Gaussians

DIM = 16
WORDS = ("ball", "cube")
CENTRES = torch.tensor([[-0.8, 0.0, 0.0], [0.8, 0.1, 0.2]])
EACH = 80


class Words:
    """A text encoder: ball is axis 0, cube axis 1, canonical words 2 to 5, any other word its own way in 6 and up."""

    name, dim = "two-words", DIM
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        known = (*WORDS, *CANONICALS)
        return torch.stack([torch.eye(DIM)[known.index(t)] if t in known else self._other(t) for t in texts])

    def _other(self, text: str) -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        return normalize(torch.cat([torch.zeros(6), torch.randn(DIM - 6, generator=generator)]), dim=0)


class Pictures:
    """An image encoder: how red is axis 0, how blue axis 1, and a part that all pictures share."""

    name, dim = "two-colours", DIM
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_images(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        colours = torch.tensor(np.array([image.reshape(-1, 3).mean(axis=0) / 255 for image in images]))
        return normalize(colours[:, [0, 2]].float() @ torch.eye(DIM)[:2] + 3 * torch.eye(DIM)[8], dim=-1)


def blob_gaussians() -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    means = torch.cat([c + 0.12 * torch.randn(EACH, 3, generator=generator) for c in CENTRES])
    n = len(means)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1)
    sh = torch.zeros(n, 1, 3)
    sh[:EACH, 0, 0] = sh[EACH:, 0, 2] = 1.5
    return Gaussians(means, quats, torch.full((n, 3), -2.6), torch.full((n,), 2.0), sh)


def look(angle: float, width: int = 96, height: int = 72) -> Camera:
    """A camera on a circle of radius 3 around the middle, looking in."""
    c, s = np.cos(angle), np.sin(angle)
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    pose[:3, 3] = torch.tensor([-3 * s, 0, -3 * c])
    K = torch.tensor([[90.0, 0, width / 2], [0, 90.0, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, pose)


CAMERAS = {f"view_{i}.png": look(a) for i, a in enumerate((-0.4, -0.1, 0.2, 0.5))}


def blob_ids(camera: Camera) -> np.ndarray:
    """Row 0 where the ball is seen, 1 where the cube is, -1 elsewhere; rows 2, 3 and 4, 5 at the levels above."""
    one_hot = torch.eye(2).repeat_interleave(EACH, dim=0)
    channels = rasterize(blob_gaussians(), camera, channels=one_hot).channels
    assert channels is not None
    ids = torch.where(channels.amax(-1) > 0.5, channels.argmax(-1), -1).numpy()
    return np.stack([np.where(ids >= 0, ids + 2 * level, -1) for level in range(3)]).astype(np.int16)


def blob_vectors(seed: int) -> torch.Tensor:
    """A noisy unit vector per row of `blob_ids`: the word's axis and a part that all share."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.eye(DIM)[[0, 1] * 3] + 0.5 * torch.eye(DIM)[8]
    return normalize(axes + 0.03 * torch.randn(6, DIM, generator=generator), dim=-1)
