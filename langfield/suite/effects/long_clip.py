"""Long-CLIP: trained for a short while on long captions; short ones are not lost, long ones win nothing here.

The first eighteen words of a toy caption say nearly all that tells its picture from others (recall 0.9 where cut).
"""

from __future__ import annotations

from functools import cache

import torch

from langfield.suite.corpus import Caption, Pairs
from langfield.suite.effects.types import Effect
from langfield.suite.encode.long_clip import Settings, kept, modify
from langfield.suite.model import ClipModel
from langfield.suite.spec import clip_model
from langfield.suite.text_tuning import TextTower
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, make_scene
from langfield.suite.tuning import LONG, TuneSettings, begin

GROUND = "toy:good, scenes of two things, captions of some thirty words where it read eighteen; trained on 250 others"
MEASURE = "recall at 1 of 150 pictures"
STRETCH, STEPS, RATE = Settings(factor=2), 30, 5e-4


@cache
def trained(seed: int) -> tuple[list[float], list[float]]:
    """Recall of long and of short captions, before and after."""
    clip = clip_model("toy:good")
    scenes = [make_scene(900_000 + 2000 * seed + i, 2) for i in range(400)]
    seen = clip.encode_images([draw(scene).picture for scene in scenes])
    long, short = ([found(clip, scenes[250:], seen[250:], kind)] for kind in ("long", "short"))
    captions = tuple((Caption(caption(s).short), Caption(caption(s).long, "long")) for s in scenes[:250])
    keep = kept(STRETCH, clip.context_length)
    modify(clip, STRETCH)
    learner = TextTower(clip, keep)
    begin(learner, Pairs(captions, vectors=seen[:250]), LONG, TuneSettings(STEPS, RATE, seed=seed)).run(seed)
    learner.put()
    long.append(found(clip, scenes[250:], seen[250:], "long"))
    short.append(found(clip, scenes[250:], seen[250:], "short"))
    return long, short


def found(clip: ClipModel, scenes: list[Scene], seen: torch.Tensor, kind: str) -> float:
    """Give the share of captions whose own picture is nearest."""
    texts = clip.encode_texts([getattr(caption(scene), kind) for scene in scenes])
    return float(((texts @ seen.T).argmax(1) == torch.arange(len(scenes))).double().mean())


def longs(seed: int) -> tuple[float, float]:
    """Long captions, cut and as they are."""
    before, after = trained(seed)[0]
    return before, after


def shorts(seed: int) -> tuple[float, float]:
    """Short captions."""
    before, after = trained(seed)[1]
    return before, after


EFFECTS = (
    Effect("long captions find their pictures better", GROUND, MEASURE, None, longs),
    Effect("short captions are not lost (by at most 0.1)", GROUND, MEASURE, -0.1, shorts),
)
