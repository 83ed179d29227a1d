"""GRAIN's question: the head is its formula, limits are what they should be, parts settle what the whole cannot."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from langfield.suite.ask.grain import Settings, ask, describe, vote
from langfield.suite.head import AGAINST
from langfield.suite.slots import Question
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, make_scene
from tests.suite.ask.toyland import model
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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_parts_tell_apart_what_is_the_same_bag_of_words(seed):
    """Two names for scenes with colours exchanged: the best description of each part settles more than the whole."""
    clip = model("bag")
    rng = np.random.default_rng(seed)
    by_whole, by_parts = [], []
    for i in range(60):
        scene = make_scene(700_000 + 1000 * seed + i, 2)
        a, b = scene.things
        twin = Scene((replace(a, colour=b.colour), replace(b, colour=a.colour)), scene.seed)
        shown = (scene, twin)[int(rng.integers(2))]
        names = [
            describe(text, [f"a {thing.colour} {thing.shape}" for thing in one.things], clip.encode_texts)
            for text, one in zip(("wug", "dax"), (scene, twin), strict=True)
        ]
        alone = [replace(shown, things=(thing,)) for thing in shown.things]
        picture, *regions = clip.encode_images([draw(one).picture for one in (shown, *alone)])
        right = (scene, twin).index(shown)
        by_whole.append(int(vote(names, picture, torch.stack(regions), 1.0).argmax()) == right)
        by_parts.append(int(vote(names, picture, torch.stack(regions), 0.5).argmax()) == right)
    assert np.mean(by_parts) > np.mean(by_whole) + 0.08
    assert np.mean(by_parts) > 0.75
