"""GRAIN: parts settle what the whole cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from langfield.suite.ask.grain import describe, vote
from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, make_scene


def parts(seed: int, count: int = 60) -> tuple[float, float]:
    """Two names for scenes with colours exchanged: the whole's vote against that of whole and parts."""
    clip, rng, right = model("bag"), np.random.default_rng(seed), []
    for i in range(count):
        scene = make_scene(700_000 + 1000 * seed + i, 2)
        a, b = scene.things
        both = (scene, Scene((replace(a, colour=b.colour), replace(b, colour=a.colour)), scene.seed))
        shown = int(rng.integers(2))
        names = [
            describe(text, [f"a {thing.colour} {thing.shape}" for thing in one.things], clip.encode_texts)
            for text, one in zip(("wug", "dax"), both, strict=True)
        ]
        alone = [replace(both[shown], things=(thing,)) for thing in both[shown].things]
        picture, *regions = clip.encode_images([draw(one).picture for one in (both[shown], *alone)])
        found = [int(vote(names, picture, torch.stack(regions), whole).argmax()) == shown for whole in (1.0, 0.5)]
        right.append(found)
    before, after = np.mean(right, axis=0).tolist()
    return before, after


EFFECTS = (
    Effect(
        "parts vote for descriptions where the whole is a bag of words",
        "toy:bag, scenes with colours exchanged",
        "share right of two",
        0.08,
        parts,
    ),
)
