"""Training of the dense upsampler: segments' embeddings painted on their masks are what it should give.

The loss is the paper's: 0.8 cosine + L1 + 0.01 total variation (arXiv 2503.09447, Section 3.2). A segment's target is
the unit vector between the embedding of its masked crop and the mean of the patches it lies on: the thing alone, and
the thing in its place. On pictures with names this agrees better with them than either does. Small segments count
as much as large ones that contain them: the target lies between the coarsest and the finest segment of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int16, UInt8
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from langfield.artefacts import write_tensors
from langfield.errors import SettingsError
from langfield.progress import track
from langfield.segment.types import Segments
from langfield.suite.dense import FILE, SIDE_PX, UP, Upsampler
from langfield.suite.patches import Patches, patch_vectors, whole_pixels
from langfield.suite.vit import Vit

COSINE, L1, SMOOTH = 0.8, 1.0, 0.01
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Lesson:
    """One picture, or a part of one, with what should come out of it."""

    patches: Patches
    """Half precision but for pixels."""
    ids: Int16[Tensor, "L H W"]
    """Segment per level and output, -1 where there is none."""
    vectors: Float[Tensor, "M D"]
    """Target per segment, half precision."""

    def target(self) -> Float[Tensor, "D H W"]:
        """Paint what the upsampler should give, float32."""
        return paint(self.ids.long(), self.vectors.float())

    def valid(self) -> Bool[Tensor, "H W"]:
        """Tell where there is a segment."""
        return (self.ids >= 0).any(dim=0)


@dataclass(frozen=True)
class Recipe:
    """How the upsampler is trained."""

    steps: int = 400
    """Steps, one picture each."""
    lr: float = 1e-3
    """Adam's first learning rate; it falls to zero along a cosine."""
    decay: float = 1e-2
    """Weight decay."""
    parts: int = 1
    """Random parts of every picture that are learned from beside the whole."""
    smallest: float = 0.5
    """Sides of a part, at least, in sides of the picture."""
    window: int = 12
    """Patches along the sides of what one step looks at, at most."""
    seed: int = 0
    """Draws start weights, parts, the order of pictures and windows."""


def make_lessons(
    vit: Vit, image: UInt8[np.ndarray, "H W 3"], segments: Segments, vectors: Float[Tensor, "M D"], recipe: Recipe
) -> list[Lesson]:
    """Take a picture and random parts of it, half of them mirrored, through the tower.

    Args:
        vit: the tower.
        image: RGB.
        segments: of the picture, at its size.
        vectors: unit vectors of the segments' masked crops.
        recipe: how many parts, and how large.
    """
    rng = np.random.default_rng((recipe.seed, int(image.sum())))
    lessons = [lesson(vit, image, segments.ids, vectors)]
    height, width = image.shape[:2]
    for number in range(recipe.parts):
        side = rng.uniform(recipe.smallest, 1)
        h, w = round(height * side), round(width * side)
        y, x = rng.integers(height - h + 1), rng.integers(width - w + 1)
        step = 1 if number % 2 else -1
        part = np.s_[y : y + h, x : x + w]
        lessons.append(lesson(vit, image[part][:, ::step].copy(), segments.ids[:, *part][..., ::step].copy(), vectors))
    return lessons


def lesson(
    vit: Vit, image: UInt8[np.ndarray, "H W 3"], ids: Int[np.ndarray, "L H W"], vectors: Float[Tensor, "M D"]
) -> Lesson:
    """Take one picture through the tower and paint its target."""
    place = vit.patch.device
    patches = patch_vectors(vit, whole_pixels(image, SIDE_PX).to(place))
    size = tuple(UP * side for side in patches.vectors.shape[1:])
    small = interpolate(torch.from_numpy(ids)[None].float(), size=size, mode="nearest-exact")[0].short()
    spread = interpolate(patches.vectors[None], size=size, mode="bilinear", align_corners=False)[0]
    in_place = pooled(small.long().to(place), spread, len(vectors)).cpu()
    short = Patches(patches.pixels.cpu(), patches.early.half().cpu(), patches.vectors.half().cpu())
    return Lesson(short, small, normalize(vectors + in_place, dim=1).half())


def pooled(ids: Int[Tensor, "L H W"], vectors: Float[Tensor, "D H W"], count: int) -> Float[Tensor, "M D"]:
    """Give the unit mean of the vectors that each segment lies on; zero where it lies on none."""
    total = vectors.new_zeros(count, len(vectors))
    flat = vectors.flatten(1).T
    for level in ids.flatten(1):
        total.index_add_(0, level[level >= 0], flat[level >= 0])
    return normalize(total, dim=1)


def paint(ids: Int[Tensor, "L H W"], vectors: Float[Tensor, "M D"]) -> Float[Tensor, "D H W"]:
    """Give each pixel the unit vector between those of its coarsest and its finest segment; zero where it has none."""
    ends = []
    for order in (ids, ids.flip(0)):
        top = order[0]
        for level in order[1:]:  # later levels lie on top
            top = torch.where(level >= 0, level, top)
        ends.append(vectors[top.clamp_min(0)] * (top >= 0)[..., None])
    return normalize(ends[0] + ends[1], dim=-1).permute(2, 0, 1)


def dense_loss(
    found: Float[Tensor, "D H W"], target: Float[Tensor, "D H W"], valid: Bool[Tensor, "H W"]
) -> Float[Tensor, ""]:
    """Give 0.8 cosine distance + L1 on pixels with a segment, + 0.01 total variation of all.

    Sums over channels for L1 and variation are divided by the square root of D, which makes them alike for any D.
    """
    scale, count = len(found) ** 0.5, valid.sum().clamp_min(1)
    cosine = ((1 - (found * target).sum(0)) * valid).sum() / count
    l1 = ((found - target).abs().sum(0) * valid).sum() / count / scale
    down, across = found[:, 1:] - found[:, :-1], found[:, :, 1:] - found[:, :, :-1]
    return COSINE * cosine + L1 * l1 + SMOOTH * (down.abs().sum(0).mean() + across.abs().sum(0).mean()) / scale


def train_upsampler(
    lessons: Sequence[Lesson], recipe: Recipe = Recipe(), device: torch.device | None = None
) -> Upsampler:
    """Train on lessons, in an order drawn from the seed, on a device; on the CPU nothing else decides the result.

    Raises:
        SettingsError: there is nothing to learn from, or no step to learn in.
    """
    if not lessons or recipe.steps < 1 or not recipe.lr > 0:
        raise SettingsError(
            "the upsampler needs pictures with segments, steps >= 1 and lr > 0", f"{len(lessons)} given"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        net = Upsampler().to(device or CPU)
    adam = torch.optim.AdamW(net.parameters(), lr=recipe.lr, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, recipe.steps)
    rng = np.random.default_rng(recipe.seed)
    order = np.concatenate([rng.permutation(len(lessons)) for _ in range(recipe.steps // len(lessons) + 1)])
    for row in track(order[: recipe.steps], "upsampler"):
        adam.zero_grad()
        one = _window(lessons[row], recipe.window, rng, device or CPU)
        dense_loss(net(one.patches), one.target(), one.valid()).backward()
        adam.step()
        schedule.step()
    return net.cpu()


def _window(whole: Lesson, side: int, rng: np.random.Generator, device: torch.device) -> Lesson:
    """Cut a random window of whole patches out of a lesson, float32 on a device."""
    height, width = whole.patches.vectors.shape[1:]
    h, w = min(side, height), min(side, width)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))

    def cut(grid: Tensor, scale: int) -> Tensor:
        return grid[..., y * scale : (y + h) * scale, x * scale : (x + w) * scale].to(device)

    given, scales = (whole.patches.pixels, whole.patches.early, whole.patches.vectors), (16, 1, 1)
    patches = Patches(*(cut(grid, scale).float() for grid, scale in zip(given, scales, strict=True)))
    return Lesson(patches, cut(whole.ids, UP), whole.vectors.to(device))


def write_upsampler(folder: Path, net: Upsampler, about: dict[str, Any]) -> Path:
    """Write a trained net in half precision."""
    write_tensors(folder / FILE, {name: t.half() for name, t in net.state_dict().items()}, about)
    return folder / FILE
