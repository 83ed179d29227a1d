"""NoLA: without a label, names are sharpened by what the things of a scene have in common."""

from __future__ import annotations

import numpy as np
import torch

from langfield.suite.effects.ground import model, recoloured, seen, shape_of, share, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import FewShotTask
from langfield.suite.teach.nola import fit
from langfield.suite.toy.scenes import Thing
from langfield.suite.toy.words import COLOURS, SHAPES

ASKED = "share of other things named right"


def sharpened(given: list[Thing], taught: int = 300) -> tuple[float, float]:
    """Names of shapes on things, before and after unlabelled ones of the same scene were looked at."""
    clip, vectors, truth = model("dense"), seen("dense", given), shape_of(given)
    texts = clip.encode_texts([f"a photo of a {shape}" for shape in SHAPES])
    none = torch.zeros(taught, dtype=torch.long)
    task = FewShotTask(vectors[:taught], none, SHAPES, texts, texts[:0], seen("good", given[:taught]))
    rows = (texts, fit(task, clip).weight)
    before, after = (share((vectors[taught:] @ row.T).argmax(1), truth[taught:]) for row in rows)
    return before, after


def one_scene(seed: int) -> tuple[float, float]:
    """Every shape has a colour of its own in this scene, which nobody says."""
    colours = np.random.default_rng(seed).permutation(list(COLOURS)).tolist()
    return sharpened(recoloured(things(seed, 450), dict(zip(SHAPES, colours, strict=True))))


def any_scene(seed: int) -> tuple[float, float]:
    """Things of all colours: nothing to be learnt but what the encoder knows already."""
    return sharpened(things(seed, 450))


EFFECTS = (
    Effect(
        "pseudo-labels of a second encoder sharpen names",
        "toy:dense taught by toy:good, a scene whose shapes have colours",
        ASKED,
        0.04,
        one_scene,
    ),
    Effect(
        "the same where things of a name differ as in training", "toy:dense taught by toy:good", ASKED, None, any_scene
    ),
)
