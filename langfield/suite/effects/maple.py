"""MaPLe: prompts learn what pictures of another sort have in common; prompts in both towers learn more than in one."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from langfield.suite.effects.ground import model, shape_of, share, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import FewShotTask
from langfield.suite.teach.maple import Settings, adapt, fit
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene
from langfield.suite.toy.words import SHAPES

GROUND = "toy:good, pictures half as bright as any it saw, eight shapes, eight examples each"


@cache
def dark(seed: int, shots: int = 8) -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Dark pictures, their vectors and shapes, and which are examples."""
    given = things(seed, 200)
    pictures = [draw(Scene((thing,), i)).picture // 2 for i, thing in enumerate(given)]
    truth = shape_of(given)
    shown = torch.cat([(truth == shape).nonzero()[:shots, 0] for shape in range(len(SHAPES))])
    return pictures, model("good").encode_images(pictures), truth, shown


def task_of(seed: int) -> tuple[FewShotTask, torch.Tensor]:
    """The examples, and which pictures are none."""
    _, vectors, truth, shown = dark(seed)
    texts = model("good").encode_texts([f"a photo of a {shape}" for shape in SHAPES])
    held = torch.ones(len(truth), dtype=torch.bool).index_fill(0, shown, False)
    return FewShotTask(vectors[shown], truth[shown], SHAPES, texts, texts[:0]), held


def over_words(seed: int) -> tuple[float, float]:
    """Words alone against prompts of the text tower, on the vectors as they are."""
    task, held = task_of(seed)
    _, vectors, truth, _ = dark(seed)
    rows = (task.texts, fit(task, model("good")).weight)
    before, after = (share((vectors[held] @ row.T).argmax(1), truth[held]) for row in rows)
    return before, after


def both_towers(seed: int) -> tuple[float, float]:
    """Prompts of the text tower against prompts of both, as many steps."""
    task, held = task_of(seed)
    pictures, _, truth, shown = dark(seed)
    head, prompts = adapt(task, [pictures[i] for i in shown.tolist()], model("good"), Settings(steps=40))
    with prompts.attach():
        vectors = model("good").encode_images([pictures[i] for i in held.nonzero().flatten().tolist()])
    return over_words(seed)[1], share((vectors @ head.weight.T).argmax(1), truth[held])


EFFECTS = (
    Effect("prompts learn a strange sort of pictures", GROUND, "share named right", 0.05, over_words),
    Effect("prompts in both towers learn more than in one", GROUND, "share named right", None, both_towers),
)
