"""Directions between texts: turned round they say the opposite, and differences match better than things do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.ask.deltaspace import Settings, ask, change
from langfield.suite.slots import Question
from langfield.suite.spec import clip_model
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import make_scene
from langfield.suite.toy.words import COLOURS
from tests.suite.contract.common import encode, unit


def asked(*texts: str) -> Question:
    return Question(texts, ("object",))


def test_margin_is_the_inner_product_with_the_unit_difference():
    vectors = unit(0, 9)
    head = ask(asked("red mug", "blue mug"), encode)
    ends = [torch.stack([encode([f.format(t)])[0] for f in Settings().forms]).mean(0) for t in ("red mug", "blue mug")]
    towards = (ends[1] - ends[0]) / (ends[1] - ends[0]).norm()
    expected = torch.sigmoid(30 * torch.stack([v @ towards for v in vectors]))
    torch.testing.assert_close(head.relevancy(vectors)[0], expected)


def test_turned_round_it_says_the_opposite():
    one, other = ask(asked("red mug", "blue mug"), encode), ask(asked("blue mug", "red mug"), encode)
    vectors = unit(1, 20)
    torch.testing.assert_close(one.relevancy(vectors), 1 - other.relevancy(vectors))
    a, b = unit(2, 5), unit(3, 5)
    torch.testing.assert_close(change(one, a, b), -change(one, b, a))
    torch.testing.assert_close(change(one, a, b), -change(other, a, b))


def test_several_texts_of_what_it_was():
    both = ask(asked("red mug", "red cup", "blue mug"), encode)
    assert both.names == ("red mug or red cup -> blue mug",)
    assert torch.equal(both.weight, ask(asked("red cup", "red mug", "blue mug"), encode).weight)


def test_ends_that_are_no_change():
    with pytest.raises(SettingsError, match="two ends"):
        ask(asked("red mug"), encode)
    with pytest.raises(SettingsError, match="the same"):
        ask(asked("red mug", "red mug"), encode)


def pairs(seed: int, count: int = 100) -> tuple[list, list]:
    """Pairs of pictures with their captions; in half of them only a colour changes."""
    rng, before, after = np.random.default_rng(seed), [], []
    for i in range(count):
        scene = make_scene(40_000 + 1000 * seed + i, 1)
        other = [c for c in COLOURS if c != scene.things[0].colour][rng.integers(7)]
        painted = replace(scene, things=(replace(scene.things[0], colour=other),))
        before.append(scene)
        after.append(painted if i % 2 else make_scene(90_000 + 1000 * seed + i, 1))
    return before, after


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_differences_of_pictures_match_differences_of_texts(seed):
    """The paper's finding (its COCO features: 47 to 97 %): pictures to texts by what changed, not by what is there."""
    model, scenes = clip_model("toy:good"), pairs(seed)
    seen = [model.encode_images([draw(s).picture for s in part]) for part in scenes]
    said = [model.encode_texts([caption(s).short for s in part]) for part in scenes]

    def found(images: torch.Tensor, texts: torch.Tensor) -> float:
        return float(((images @ texts.T).argmax(dim=1) == torch.arange(len(images))).float().mean())

    things = found(seen[1], said[1])
    deltas = [normalize(part[1] - part[0], dim=1) for part in (seen, said)]
    assert found(*deltas) > things + 0.25
    gap = float((deltas[0].mean(0) - deltas[1].mean(0)).norm())
    assert gap < float((seen[1].mean(0) - said[1].mean(0)).norm()) / 4
