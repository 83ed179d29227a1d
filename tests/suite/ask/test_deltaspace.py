"""Directions between texts: turned round they say the opposite, and differences match better than things do."""

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.ask.deltaspace import Settings, ask, change
from langfield.suite.slots import Question
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
