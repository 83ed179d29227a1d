"""A wide scene with codes of a codebook, things and views: what is cut into blocks and shards in tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.capture.types import Camera, Frame
from langfield.codec.codebook import Codebook, CodebookSettings
from langfield.field.instances import Instances
from langfield.field.types import Field
from langfield.raster.types import Gaussians

DIM, EACH = 32, 40
NAMES = ("tree", "car", "bench", "house", "tent", "lamp")


class Names:
    """A text encoder: every text a direction of its own."""

    name, dim = "names", DIM
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        seeds = [int.from_bytes(hashlib.sha256(t.encode()).digest()[:4], "little") for t in texts]
        return normalize(
            torch.stack([torch.randn(DIM, generator=torch.Generator().manual_seed(s)) for s in seeds]), dim=1
        )


def scattered(seed: int = 0, floor: int = 300, sh: int = 1) -> Field:
    """Six round things of 40 Gaussians over a floor of 20 x 12; the floor has no code at the first level."""
    dice = torch.Generator().manual_seed(seed)
    middles = torch.rand(len(NAMES), 3, generator=dice) * torch.tensor([20.0, 12.0, 0.0]) + torch.tensor([0, 0, 0.6])
    kind = torch.cat([torch.arange(len(NAMES)).repeat_interleave(EACH), torch.full((floor,), len(NAMES))])
    kind = kind[torch.randperm(len(kind), generator=dice)]
    n = len(kind)
    shell = normalize(torch.randn(n, 3, generator=dice), dim=1) * 0.5
    ground = torch.rand(n, 3, generator=dice) * torch.tensor([20.0, 12.0, 0.02])
    means = torch.where((kind < len(NAMES))[:, None], middles[kind.clamp_max(len(NAMES) - 1)] + shell, ground)
    scales = (0.15 + 0.1 * torch.rand(n, 3, generator=dice)).log()
    quats = torch.randn(n, 4, generator=dice)
    gaussians = Gaussians(means, quats, scales, torch.full((n,), 2.0), torch.randn(n, sh, 3, generator=dice) * 0.5)
    codec = book()
    words = codec.encode(torch.cat([Names().encode_texts(NAMES), Names().encode_texts(["floor"])]))
    codes = words[kind].expand(3, -1, -1).clone()
    codes[0, kind == len(NAMES)] = 0
    provenance = {"image_encoder": {"name": "names"}, "world": {"frame": "made up", "unit": "metre"}}
    return Field(gaussians, codes, codec, provenance, torch.rand(3, n, generator=dice), things(kind))


def book() -> Codebook:
    """The codebook: each name is an atom."""
    atoms = Names().encode_texts([*NAMES, "floor", *(f"other {i}" for i in range(9))])
    return Codebook(
        torch.cat([atoms, 0.05 * torch.ones(1, DIM)]).half().float(), 1.0 / 63, CodebookSettings(terms=3), {}
    )


def things(kind: torch.Tensor) -> Instances:
    """One for each name."""
    rows = [(kind == i).nonzero()[:, 0].int() for i in range(len(NAMES))]
    members = torch.tensor([[i, 0, i] for i in range(len(NAMES))]).int()
    return Instances(
        Names().encode_texts(NAMES).half(), torch.full((len(NAMES),), 5).int(), torch.ones(len(NAMES)),
        torch.tensor([0, *(len(r) for r in rows)]).cumsum(0), torch.cat(rows), members,
    )  # fmt: skip


def stand(eye: tuple[float, float, float], at: tuple[float, float, float], side: int = 64) -> Camera:
    """Give a camera that stands somewhere and looks at something, z up."""
    place, ahead = np.array(eye, float), np.array(at, float) - np.array(eye, float)
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3] = np.stack([right, np.cross(ahead, right), ahead, place], 1)
    K = torch.tensor([[0.8 * side, 0, side / 2], [0, 0.8 * side, side / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, side, side, torch.from_numpy(pose))


def lanes(side: int = 64) -> tuple[Frame, ...]:
    """Views from a flight over the scene."""
    spots = [(x, y) for x in (2.0, 7.0, 12.0, 17.0) for y in (2.0, 9.0)]
    return tuple(
        Frame(f"view_{i}.png", Path(f"view_{i}.png"), stand((x, y - 3.0, 5.0), (x, y, 0.0), side))
        for i, (x, y) in enumerate(spots)
    )
