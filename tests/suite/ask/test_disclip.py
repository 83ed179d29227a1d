"""DisCLIP: the choice of descriptions by brute force, planted ones, and what scene-wide descriptions gain."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.ask.disclip import UNSEEN, Settings, ask, fit_of, nearest, select
from langfield.suite.slots import Question
from tests.suite.contract.common import Writer, encode, unit

GIVEN = ("object", "things", "stuff", "texture")


def test_fit_is_the_mean_over_the_things_of_each_name():
    names, things_, descriptions = unit(0, 5), unit(1, 40), unit(2, 7)
    found = fit_of(descriptions, names, things_)
    taken = [max(range(5), key=lambda c: float(thing @ names[c])) for thing in things_]
    for d in range(7):
        for c in range(5):
            own = [float(descriptions[d] @ thing) for thing, name in zip(things_, taken, strict=True) if name == c]
            assert float(found[d, c]) == pytest.approx(np.mean(own) if own else UNSEEN, abs=1e-5)


def test_selection_is_that_of_the_papers_words():
    generator = torch.Generator().manual_seed(0)
    for _ in range(30):
        fits = 2 * torch.rand(12, 5, generator=generator) - 1
        rivals = torch.randperm(4, generator=generator)[:2] + 1
        able = [d for d in range(12) if all(fits[d, 0] >= fits[d, c] for c in rivals)]
        able.sort(key=lambda d: -float(np.mean([float(fits[d, 0] - fits[d, c]) for c in rivals])))
        assert select(fits, 0, rivals, 3) == able[:3]


def test_names_nobody_was_taken_for_are_no_rivals_and_choose_nothing():
    fits = torch.tensor([[0.5, UNSEEN, 0.2], [0.1, UNSEEN, 0.4]])
    assert select(fits, 0, torch.tensor([1, 2]), 5) == [0]
    assert select(fits, 1, torch.tensor([0, 2]), 5) == []
    assert select(fits, 0, torch.tensor([1]), 5) == []


def test_rivals_are_the_nearest_other_names():
    names = unit(0, 6)
    for name in range(6):
        expected = sorted((c for c in range(6) if c != name), key=lambda c: -float(names[c] @ names[name]))[:2]
        assert nearest(names, name, 2).tolist() == expected
    assert nearest(names[:2], 0, 5).tolist() == [1]


def test_planted_descriptions_are_kept_by_the_name_they_fit_whoever_they_were_written_for():
    """Mugs of this scene look like "a spout", which was written for the teapot."""
    spout = encode(["a spout"])[0]
    mugs = normalize(encode(["mug"]) + 0.8 * spout + 0.1 * unit(3, 6), dim=-1)
    others = normalize(torch.cat([encode(["globe"]), encode(["teapot"])]).repeat(3, 1) + 0.1 * unit(4, 6), dim=-1)
    question = Question(("mug", "globe", "teapot"), GIVEN, Writer(), torch.cat([mugs, others]))
    about = dict(ask(question, encode, Settings(kept=1)).about)
    assert about["mug"] == "a spout"
    assert "a spout" not in about["teapot"].split("; ")


def test_the_row_weighs_name_and_descriptions():
    things_ = torch.cat([encode(["mug"]), encode(["globe"])])
    question = Question(("mug", "globe"), GIVEN, Writer(), things_)
    head = ask(question, encode, Settings(name_weight=3.0))
    chosen = dict(head.about)["mug"].removeprefix("own: ").split("; ")
    probe = unit(9, 1)[0]
    score = 3 * float(probe @ encode(["mug"])[0]) + sum(float(probe @ d) for d in encode(chosen)) / len(chosen)
    assert float(probe @ head.weight[0]) == pytest.approx(score / 4, abs=1e-6), "the paper's, on the scale of a cosine"


def test_it_needs_things_and_negatives():
    with pytest.raises(SettingsError):
        ask(Question(("mug",), GIVEN, Writer(), unit(0, 4)[:0]), encode)
    with pytest.raises(SettingsError):
        ask(Question(("mug",), (), Writer(), unit(0, 4)), encode)
