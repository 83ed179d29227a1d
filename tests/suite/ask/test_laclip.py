"""LaCLIP: averages and drawn captions as they should be; wording counts less, bad wording is repaired."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.suite.ask.laclip import Settings, ask, averaged, choose, rewritten
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.slots import Question
from tests.suite.contract.common import Writer, encode

NEGATIVES = ("object", "stuff")


def test_the_row_is_the_unit_mean_of_text_and_rewrites():
    each = encode(["mug", "cup", "tea cup", "beaker"])
    others = ["cup", "tea cup", "beaker"]
    torch.testing.assert_close(averaged("mug", others, encode, 1.0), normalize(each.mean(0), dim=0))
    twice = torch.cat([each, each[:1]])
    torch.testing.assert_close(averaged("mug", others, encode, 2.0), normalize(twice.mean(0), dim=0))
    assert torch.equal(averaged("mug", [], encode, 1.0), each[0])


def test_without_rewrites_it_is_the_text():
    head = ask(Question(("mug", "globe"), NEGATIVES, Writer()), encode, Settings(rewrites=0))
    torch.testing.assert_close(head.weight, encode(["mug", "globe", *NEGATIVES]))


def test_the_answer_says_what_was_averaged_and_by_whom():
    about = dict(ask(Question(("mug",), NEGATIVES, Writer()), encode).about)
    assert about["mug"] == "cup"
    assert about["writer"] == "three-things"


def test_captions_are_rewritten_once_each_and_false_ones_never():
    said = ((Caption("mug"), Caption("globe", "negative"), Caption("a mug on a table", "long")), (Caption("teapot"),))
    pairs = rewritten(Pairs(said, vectors=torch.eye(2)), Writer())
    assert [c.text for c in pairs.captions[0]] == ["mug", "globe", "a mug on a table", "cup"]
    assert pairs.captions[0][-1].source == "three-things"
    assert [c.text for c in pairs.of(1)] == ["teapot", "pot for tea"]


def test_caption_and_rewrites_are_drawn_alike_often_and_one_word_gives_way():
    rng = np.random.default_rng(0)
    drawn = Counter(choose("a red mug", ["a cup", "one mug", "mug"], rng) for _ in range(4000))
    assert set(drawn) == {"a red mug", "a cup", "one mug"}
    assert drawn["a cup"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert drawn["a red mug"] / 4000 == pytest.approx(0.5, abs=0.03)  # "mug" gives way to it
