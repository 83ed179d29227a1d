"""The committed scene as a run without training: Gaussians from its depth maps, codes from its true masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from langfield.capture import read_capture
from langfield.codec.identity import Identity
from langfield.field.types import Field
from langfield.raster.types import Gaussians
from langfield.run import Run
from tests.scenes.tabletop import ROOT, lift, names, settings, shots

STEP = 5
"""Every fifth pixel of every third view becomes a Gaussian."""
VIEWS = slice(0, None, 3)
DIM = 40


def meaning(name: str) -> torch.Tensor:
    """A unit vector: what all words share, and a direction of its own for each name of the scene."""
    vector = torch.zeros(DIM)
    vector[-1] = 2.0
    known = list(names().values())
    if name in known:
        vector[known.index(name)] = 1.0
    return vector / vector.norm()


class Names:
    """Knows the names of the scene; every other word is a general one."""

    name, dim = "true names", DIM
    provenance: dict[str, Any] = {}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.stack([meaning(t) for t in texts])


class TabletopRun(Run):
    """The scene with its true names."""

    def text_encoder(self, spec: str | None = None) -> Names:
        return Names()


def truth(view: int) -> np.ndarray:
    """Instance ids of a frame, [H, W]."""
    return shots()[view].instance


def tabletop_run(folder: Path) -> tuple[TabletopRun, np.ndarray]:
    """The run, and the true instance id of each of its Gaussians."""
    points, colours, ids, sizes = [], [], [], []
    for shot in shots()[VIEWS]:
        keep = np.s_[STEP // 2 :: STEP, STEP // 2 :: STEP]
        points.append(lift(shot)[keep].reshape(-1, 3))
        colours.append(np.asarray(Image.open(shot.picture).convert("RGB"))[keep].reshape(-1, 3))
        ids.append(shot.instance[keep].ravel())
        sizes.append(shot.depth[keep].ravel() * STEP / settings()["fl_x"] * 0.36)
    means, kind = np.concatenate(points), np.concatenate(ids)
    n = len(means)
    sh = torch.from_numpy((np.concatenate(colours) / 255 - 0.5) / 0.28209479).float()[:, None]
    log_scales = torch.from_numpy(np.log(np.concatenate(sizes))).float()[:, None].expand(n, 3).clone()
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4).clone()
    gaussians = Gaussians(torch.from_numpy(means).float(), quats, log_scales, torch.full((n,), 4.0), sh)
    table = torch.stack([meaning(names().get(i, "")) for i in range(max(names()) + 1)])
    codes = table[torch.from_numpy(kind.astype(np.int64))]
    field = Field(gaussians, codes.expand(3, -1, -1).clone(), Identity(DIM), {"image_encoder": {"name": "true masks"}})
    frames = read_capture(ROOT).frames
    manifest = {"settings": {"text_encoder": "true names"}, "training_views": [f.name for f in frames[VIEWS]]}
    return TabletopRun(folder, manifest, field, frames), kind
