"""GRAIN's question: the head is its formula, limits are what they should be, parts settle what the whole cannot."""

import pytest
import torch

from langfield.suite.ask.grain import Settings, ask, describe, vote
from langfield.suite.head import AGAINST
from langfield.suite.slots import Question
from tests.suite.contract.common import Writer, encode, unit

GIVEN = ("object", "stuff")


def test_the_score_of_a_name_is_the_papers_formula_with_one_region():
    question, probes = Question(("mug", "globe"), GIVEN, Writer()), unit(5, 12)
    for whole in (0.0, 0.3, 1.0):
        head = ask(question, encode, Settings(whole=whole, with_name=False))
        for row, (name, said) in enumerate(
            {"mug": ["a handle", "round rim"], "globe": ["a blue sphere", "a stand"]}.items()
        ):
            mean = encode([f"{name} which has {d}" for d in said]).sum(0)
            mean = mean / mean.norm()
            for probe in probes:
                expected = whole * float(probe @ mean) + (1 - whole) * max(float(probe @ encode([d])[0]) for d in said)
                weight, _ = head.rows_of(row)
                assert float((probe @ weight.T).max()) == pytest.approx(expected, abs=1e-5)
                one = describe(name, said, encode)
                assert float(vote([one], probe, probe[None], whole)[0]) == pytest.approx(expected, abs=1e-5)


def test_rows_belong_to_their_names():
    head = ask(Question(("mug", "teapot"), GIVEN, Writer()), encode)
    assert head.rows == (0, 0, 0, 1, 1, AGAINST, AGAINST)
    assert ask(Question(("mug",), GIVEN, Writer()), encode, Settings(with_name=False)).rows == (0, 0, AGAINST, AGAINST)
    assert dict(head.about)["mug"] == "a handle; round rim"


def test_without_descriptions_it_is_the_name():
    head = ask(Question(("mug",), GIVEN, Writer()), encode, Settings(written=0))
    torch.testing.assert_close(head.weight, encode(["mug", *GIVEN]))


def test_the_order_of_regions_does_not_matter_and_the_mean_is_over_them():
    one, picture, regions = describe("mug", ["a handle", "round rim"], encode), unit(1, 1)[0], unit(2, 5)
    found = vote([one], picture, regions, 0.4)
    torch.testing.assert_close(found, vote([one], picture, regions.flip(0), 0.4))
    each = torch.stack([vote([one], picture, region[None], 0.4) for region in regions])
    torch.testing.assert_close(found, each.mean(0))
