"""A made-up run: three coloured balls on a floor, ten views around them, and an encoder that knows their names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from langfield.capture.types import Camera, Frame
from langfield.codec.identity import Identity
from langfield.field.types import Field
from langfield.raster.types import Gaussians
from langfield.run import Run

NAMES = ("floor", "red ball", "green ball", "blue ball")
COLOURS = torch.tensor([[0.75, 0.7, 0.6], [0.9, 0.1, 0.1], [0.1, 0.8, 0.15], [0.15, 0.2, 0.9]])
CENTRES = torch.tensor([[0.8, 0.0, 0.25], [-0.5, 0.7, 0.25], [-0.5, -0.7, 0.25]])
DIM = 8


def meaning(name: str) -> torch.Tensor:
    """A unit vector: much that all words share, and a direction of its own for each name."""
    vector = torch.zeros(DIM)
    vector[-1] = 3.0
    if name in NAMES:
        vector[NAMES.index(name)] = 1.0
    return vector / vector.norm()


class Encoder:
    """Knows the names of the scene; every other word is a general one. "boom" breaks it."""

    name = "made-up"
    dim = DIM
    provenance: dict[str, Any] = {}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        if "boom" in texts:
            raise RuntimeError("<b>boom</b>")
        return torch.stack([meaning(t) for t in texts])


class MadeUpRun(Run):
    """Counts how often its encoder is loaded."""

    loads = [0]  # noqa: RUF012

    def text_encoder(self, spec: str | None = None) -> Encoder:
        self.loads[0] += 1
        return Encoder()


def balls(per_ball: int = 1500, floor: int = 4000) -> tuple[Gaussians, torch.Tensor]:
    """Gaussians and the index into NAMES of each; z is up."""
    generator = torch.Generator().manual_seed(1)
    flat = torch.rand(floor, 3, generator=generator) * torch.tensor([4.0, 4.0, 0.0]) - torch.tensor([2.0, 2.0, 0.0])
    around = torch.nn.functional.normalize(torch.randn(3, per_ball, 3, generator=generator), dim=-1)
    means = torch.cat([flat, (around * 0.25 + CENTRES[:, None]).flatten(0, 1)])
    kind = torch.cat([torch.zeros(floor, dtype=torch.long), torch.arange(1, 4).repeat_interleave(per_ball)])
    shade = 1 - 0.3 * torch.rand(len(means), 1, generator=generator)
    light = torch.where(kind > 0, 0.6 + 0.8 * means[:, 2], 1.0)[:, None]
    sh = ((COLOURS[kind] * shade * light).clamp(0, 1) - 0.5) / 0.28209479
    log_scales = torch.where(kind[:, None] > 0, 0.018, 0.04).log().expand(-1, 3).clone()
    log_scales[kind == 0, 2] -= 2.0
    quats = torch.tensor([1.0, 0, 0, 0]).expand(len(means), 4).clone()
    return Gaussians(means, quats, log_scales, torch.full((len(means),), 3.0), sh[:, None]), kind


def orbit(count: int = 10, radius: float = 3.0, height: float = 1.6) -> tuple[Frame, ...]:
    """Views from a circle, all looking at the middle, held level."""
    frames = []
    for i in range(count):
        angle = torch.tensor(2 * torch.pi * i / count, dtype=torch.float64)
        eye = torch.stack([radius * angle.cos(), radius * angle.sin(), torch.tensor(height, dtype=torch.float64)])
        ahead = torch.nn.functional.normalize(torch.tensor([0, 0, 0.2], dtype=torch.float64) - eye, dim=0)
        right = torch.nn.functional.normalize(torch.linalg.cross(ahead, torch.tensor([0.0, 0, 1]).double()), dim=0)
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = torch.stack([right, torch.linalg.cross(ahead, right), ahead], dim=1)
        pose[:3, 3] = eye
        K = torch.tensor([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]], dtype=torch.float64)
        frames.append(Frame(f"view_{i:02d}.jpg", Path(f"view_{i:02d}.jpg"), Camera(K, 640, 480, pose)))
    return tuple(frames)


def made_up_run(with_language: bool = True, path: Path = Path("nowhere")) -> MadeUpRun:
    """The run; codes are the meanings themselves, at all three levels, weaker for parts."""
    gaussians, kind = balls()
    table = torch.stack([meaning(n) for n in NAMES])
    whole = table[kind]
    general = meaning("")
    levels = [torch.nn.functional.normalize(whole + share * general, dim=-1) for share in (2.0, 1.0, 0.0)]
    codes = torch.stack(levels) if with_language else None
    field = Field(gaussians, codes, Identity(DIM) if with_language else None, {"image_encoder": "made-up pictures"})
    frames = orbit()
    manifest = {"settings": {"text_encoder": "made-up"}, "training_views": [f.name for f in frames[1:]]}
    return MadeUpRun(path, manifest, field, frames)
