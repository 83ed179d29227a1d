"""CLIP-SVD: strengths of the text tower's directions learn names that nobody knows."""

from __future__ import annotations

from langfield.suite.effects.ground import model, new_names, share
from langfield.suite.effects.types import Effect
from langfield.suite.teach.clip_svd import Settings, fit

GROUND = "toy:good, a name nobody knows for each of eight shapes, four examples each"


def over_words(seed: int) -> tuple[float, float]:
    """The untrained prompt against the trained tower."""
    task, vectors, truth = new_names("good", seed, 4)
    heads = [fit(task, model("good"), Settings(steps=steps)) for steps in (0, 30)]
    before, after = (share(head.relevancy(vectors).argmax(0), truth) for head in heads)
    return before, after


EFFECTS = (Effect("names nobody knows are learnt from four examples", GROUND, "share named right", 0.35, over_words),)
