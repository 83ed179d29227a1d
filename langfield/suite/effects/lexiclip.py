"""LexiCLIP: short questions find long descriptions after a calibration on other things."""

from __future__ import annotations

from functools import cache

import torch

from langfield.suite.bench.retrieval import modality_gap
from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.find.lexiclip import Settings, find
from langfield.suite.slots import Items
from langfield.suite.toy.captions import caption
from langfield.suite.toy.scenes import make_scene

GROUND = "toy:bag, scenes of two things that it was not calibrated on"


@cache
def calibrated(seed: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Recall at 1 and minus the gap of questions and descriptions, before and after."""

    def said(which: str, first: int, last: int) -> torch.Tensor:
        scenes = [make_scene(20_000 + 5000 * seed + i, 2) for i in range(first, last)]
        return model("bag").encode_texts([getattr(caption(scene), which) for scene in scenes])

    taught = torch.cat([said("short", 0, 150), said("long", 0, 150)])
    change = find(Items(taught, None, taught, torch.arange(150).repeat(2)), settings=Settings(steps=100))
    plain = said("short", 150, 300), said("long", 150, 300)
    moved = [change(Items(part, None, part)) for part in plain]
    recalls, gaps = [], []
    for questions, answers in (plain, moved):
        recalls.append(float(((questions @ answers.T).argmax(1) == torch.arange(len(questions))).double().mean()))
        gaps.append(-modality_gap(questions, answers))
    return (recalls[0], recalls[1]), (gaps[0], gaps[1])


EFFECTS = (
    Effect(
        "questions find descriptions after calibration", GROUND, "recall at 1", 0.05, lambda seed: calibrated(seed)[0]
    ),
    Effect("questions and descriptions lie closer", GROUND, "minus the gap", 0.05, lambda seed: calibrated(seed)[1]),
)
