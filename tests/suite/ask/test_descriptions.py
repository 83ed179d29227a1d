"""Descriptions: the mean of cosines, how they are said, and names that nobody knows."""

from __future__ import annotations

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.ask.descriptions import Settings, ask, describe, head_of, sentences
from langfield.suite.slots import Question
from tests.suite.contract.common import Writer, encode

NEGATIVES = ("object", "texture")


def test_the_score_is_the_mean_of_cosines():
    """The paper's formula, a cosine at a time."""
    vector = encode(["a round red thing"])[0]
    described = {"mug": ["a handle", "has a rim"], "globe": ["stand"]}
    head = head_of(described, NEGATIVES, encode)
    texts = [["mug, which is a handle", "mug, which has a rim"], ["globe, which has stand"]]
    against = max(float(vector @ encode([n])[0]) for n in NEGATIVES)
    for name, told in enumerate(texts):
        mean = sum(float(vector @ encode([text])[0]) for text in told) / len(told)
        expected = torch.sigmoid(torch.tensor(10 * (mean - against)))
        assert float(head.relevancy(vector)[name]) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("a drinking vessel", "mug, which is a drinking vessel"),
        ("an open top", "mug, which is an open top"),
        ("used for tea", "mug, which is used for tea"),
        ("often white", "mug, which often white"),
        ("antlers", "mug, which has antlers"),
        ("handle", "mug, which has handle"),
    ],
)
def test_how_a_description_is_said(description, said):
    assert sentences("mug", [description]) == [said]


def test_without_descriptions_it_is_the_name_and_all_may_be_edited():
    assert sentences("mug", []) == ["mug"]
    assert sentences("mug", ["handle"], with_name=True) == ["mug", "mug, which has handle"]
    plain = head_of({"mug": []}, NEGATIVES, encode)
    torch.testing.assert_close(plain.weight, encode(["mug", *NEGATIVES]))
    described = describe(Question(("mug",), NEGATIVES, Writer()), Settings(count=1))
    assert described == {"mug": ["a handle"]}
    described["mug"] = ["blue"]
    assert dict(head_of(described, NEGATIVES, encode).about)["mug"] == "blue"


def test_who_wrote_it_is_said_and_somebody_must():
    head = ask(Question(("mug",), NEGATIVES, Writer()), encode)
    assert dict(head.about)["written by"] == "three-things"
    assert dict(head.about)["reduced"] == "no"
    with pytest.raises(SettingsError, match="somebody who writes"):
        ask(Question(("mug",), NEGATIVES), encode)
    with pytest.raises(SettingsError, match="held against"):
        ask(Question(("mug",), (), Writer()), encode)
