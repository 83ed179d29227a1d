"""DeltaSpace: differences of pictures match differences of texts better than pictures match texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.suite.bench.retrieval import modality_gap
from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, make_scene
from langfield.suite.toy.words import COLOURS

GROUND = "toy:good, 100 pairs of pictures of one thing, in half of which only the colour changes"


@cache
def vectors(seed: int, count: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and short captions [2, count, D] before and after."""
    rng, before, after = np.random.default_rng(seed), list[Scene](), list[Scene]()
    for i in range(count):
        scene = make_scene(40_000 + 1000 * seed + i, 1)
        other = [colour for colour in COLOURS if colour != scene.things[0].colour][int(rng.integers(7))]
        painted = replace(scene, things=(replace(scene.things[0], colour=other),))
        before.append(scene)
        after.append(painted if i % 2 else make_scene(90_000 + 1000 * seed + i, 1))
    return _all(model("good").encode_images, [[draw(s).picture for s in part] for part in (before, after)]), _all(
        model("good").encode_texts, [[caption(s).short for s in part] for part in (before, after)]
    )


def _all(encode, parts: Sequence) -> torch.Tensor:
    return torch.stack([encode(part) for part in parts])


def found(seed: int) -> tuple[float, float]:
    """Recall at 1 of texts by pictures, and of differences of texts by differences of pictures."""
    seen, said = vectors(seed)
    deltas = [normalize(part[1] - part[0], dim=1) for part in (seen, said)]
    before, after = (
        float(((images @ texts.T).argmax(1) == torch.arange(len(images))).double().mean())
        for images, texts in ((seen[1], said[1]), (deltas[0], deltas[1]))
    )
    return before, after


def closer(seed: int) -> tuple[float, float]:
    """Minus the gap between pictures and texts, and between their differences."""
    seen, said = vectors(seed)
    deltas = [normalize(part[1] - part[0], dim=1) for part in (seen, said)]
    return -modality_gap(seen[1], said[1]), -modality_gap(deltas[0], deltas[1])


EFFECTS = (
    Effect("what changed is found better than what is there", GROUND, "recall at 1", 0.2, found),
    Effect("differences have hardly a gap between pictures and texts", GROUND, "minus the gap", 0.4, closer),
)
