"""CoOp: at its start the ordinary prompt, learnt through open_clip's own text tower, and names nobody knows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST
from langfield.suite.model import ClipModel, Parts
from langfield.suite.spec import clip_model
from langfield.suite.teach.coop import Context, Settings, fit
from tests.suite.contract.common import encode, task
from tests.suite.tiny_clip import pixels, tiny_clip

NAMES = ("red square", "blue circle", "star")


@pytest.fixture(scope="module")
def toy() -> ClipModel:
    return clip_model("toy:good")


class Words:
    """The contract's encoder of words, as a TextEncoder."""

    name, dim = "words", 32
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return encode(texts)


def no_text_tower() -> ClipModel:
    module = nn.Module()
    module.visual = tiny_clip().visual
    return ClipModel("pair", Parts(module, pixels, None, Words(), {}), 32)


@pytest.mark.parametrize("specific", [False, True])
def test_at_its_start_it_is_the_ordinary_prompt(toy, specific):
    learner = Context(toy, NAMES, Settings(specific=specific))
    expected = toy.encode_texts([f"a photo of a {name}" for name in NAMES])
    torch.testing.assert_close(learner().detach(), expected, rtol=0, atol=1e-6)
    assert learner.context.shape == (3 if specific else 1, 4, 96)


def test_a_learnt_context_is_what_open_clip_makes_of_such_words(toy):
    """Other vectors are written into the table of words, and the whole tower is run on the ordinary text."""
    learner = Context(toy, ("red square", "star"), Settings(init="there is one"))
    ids = toy.ids(["there is one"])[0, 1:4]
    other = torch.randn(1, 3, 96, generator=torch.Generator().manual_seed(0))
    table = toy.module.token_embedding.weight
    before = table.detach().clone()
    with torch.no_grad():
        learner.context.copy_(other)
        table[ids] = other[0]
        expected = toy.encode_texts(["there is one red square", "there is one star"])
        table.copy_(before)
    assert len(set(ids.tolist())) == 3
    torch.testing.assert_close(learner().detach(), expected, rtol=0, atol=1e-5)


def test_without_steps_the_head_is_that_of_the_words(toy):
    given = task(encoder=toy.encode_texts)
    head = fit(given, toy, Settings(steps=0))
    words = toy.encode_texts([f"a photo of a {name}" for name in given.names])
    torch.testing.assert_close(head.weight, torch.cat([words, given.negatives]), rtol=0, atol=1e-6)
    assert head.rows == (0, 1, 2, AGAINST, AGAINST)
    assert head.scale == pytest.approx(toy.logit_scale)


def test_without_a_text_tower_a_shift_is_learnt_and_said():
    """Of names that mean each other's things: all is lost with the words alone."""
    model, right = no_text_tower(), task()
    given = dataclasses.replace(right, texts=right.texts.roll(1, 0))
    start = fit(given, model, Settings(steps=0))
    torch.testing.assert_close(start.weight[:3], given.texts)
    head = fit(given, model, Settings(specific=True, steps=100))
    assert dict(head.about)["context"] == "Shift"
    known = given.labels >= 0
    for one, least, most in ((start, 0.0, 0.1), (head, 0.9, 1.0)):
        found = one.relevancy(given.vectors[known]).argmax(dim=0) == given.labels[known]
        assert least <= float(found.float().mean()) <= most


def test_it_needs_a_model():
    with pytest.raises(SettingsError, match="needs a model"):
        fit(task())
