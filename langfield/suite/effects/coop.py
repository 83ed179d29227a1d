"""CoOp: contexts of names learn what they mean; a context that all share helps names it was not taught, or not."""

from __future__ import annotations

from dataclasses import replace

import torch

from langfield.suite.effects.ground import a, model, new_names, seen, shape_of, share, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import FewShotTask
from langfield.suite.teach.coop import Settings, fit
from langfield.suite.toy.words import SHAPES

GROUND = "toy:good, a name nobody knows for each of eight shapes, four examples each"


def over_words(seed: int) -> tuple[float, float]:
    """The untrained prompt against trained contexts of each name."""
    task, vectors, truth = new_names("good", seed, 4)
    heads = [fit(task, model("good"), Settings(specific=True, steps=steps)) for steps in (0, 60)]
    before, after = (share(head.relevancy(vectors).argmax(0), truth) for head in heads)
    return before, after


def untaught(seed: int) -> tuple[float, float]:
    """A context shared by all, taught on four shapes and asked for the four others."""
    clip, given = model("bag"), things(seed, 240)
    vectors, truth = seen("bag", given), shape_of(given)
    texts = clip.encode_texts([a(shape) for shape in SHAPES])
    shown = torch.cat([(truth == shape).nonzero()[:8, 0] for shape in range(4)])
    task = FewShotTask(vectors[shown], truth[shown], SHAPES[:4], texts[:4], texts[:0])
    others, found = truth >= 4, []
    for steps in (0, 60):
        head = fit(replace(task, names=SHAPES, texts=texts), clip, Settings(steps=steps))
        names = head.weight[4:]
        found.append(share((vectors[others] @ names.T).argmax(1), truth[others] - 4))
    return found[0], found[1]


EFFECTS = (
    Effect("names nobody knows are learnt from four examples", GROUND, "share named right", 0.35, over_words),
    Effect(
        "a shared context helps names it was not taught",
        "toy:bag, taught four shapes by eight examples, asked others",
        "share named right",
        None,
        untaught,
    ),
)
