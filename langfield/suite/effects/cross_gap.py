"""Cross the Gap: a picture turned into a word finds pictures better than the picture does."""

from __future__ import annotations

import torch

from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.find.cross_gap import Settings, invert
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import make_scene


def inverted(seed: int, count: int = 80) -> tuple[float, float]:
    """Mean average precision of pictures, and of their words, among pictures of 16 kinds on floors of their own."""
    clip = model("dense")
    scenes = [make_scene(5000 + 1000 * seed + i, 1, shapes=("square", "circle")) for i in range(count)]
    kinds = sorted({(s.things[0].shape, s.things[0].colour) for s in scenes})
    labels = torch.tensor([kinds.index((s.things[0].shape, s.things[0].colour)) for s in scenes])
    seen = clip.encode_images([draw(scene).picture for scene in scenes])
    return precision(seen, seen, labels), precision(invert(clip, seen, Settings()), seen, labels)


def precision(found: torch.Tensor, gallery: torch.Tensor, labels: torch.Tensor) -> float:
    """Give mean average precision, each item left out of its own gallery."""
    values = []
    for i, scores in enumerate(found @ gallery.T):
        order = scores.argsort(descending=True)
        right = (labels[order] == labels[i])[order != i].double()
        if right.any():
            at = right.cumsum(0) / torch.arange(1, len(right) + 1)
            values.append(float((at * right).sum() / right.sum()))
    return sum(values) / len(values)


EFFECTS = (
    Effect(
        "a word for a picture finds pictures better than the picture",
        "toy:dense, single things on floors of their own",
        "mean average precision",
        0.0,
        inverted,
    ),
)
