"""HQ-CLIP: negatives that fit the question end false alarms."""

from __future__ import annotations

import torch

from langfield.suite.ask.hq_clip import Settings, ask
from langfield.suite.effects.ground import ToyWriter, a, model, seen, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import Question
from langfield.suite.toy.words import COLOURS, SHAPES

NEGATIVES = ("object", "things", "stuff", "texture")


def alarms(seed: int) -> tuple[float, float]:
    """Is there a red square? F1 of relevancy above 0.5 over twelve names, against general words and fitting ones."""
    given, names = things(seed, 120), [(shape, colour) for shape in SHAPES for colour in COLOURS]
    vectors, truth = seen("good", given), torch.tensor([names.index((thing.shape, thing.colour)) for thing in given])
    scores = []
    for count in (0, 14):
        found = []
        for row in torch.unique(truth)[:12].tolist():
            shape, colour = names[row]
            question = Question((a(f"{colour} {shape}"),), NEGATIVES, ToyWriter())
            hit = ask(question, model("good").encode_texts, Settings(negatives=count)).relevancy(vectors)[0] > 0.5
            true = truth == row
            found.append(float(2 * (hit & true).sum() / (hit.sum() + true.sum())))
        scores.append(sum(found) / len(found))
    return scores[0], scores[1]


EFFECTS = (
    Effect(
        "negatives that fit the question end false alarms", "toy:good, single things", "F1 of twelve names", 0.2, alarms
    ),
)
