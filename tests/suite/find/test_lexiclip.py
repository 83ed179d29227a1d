"""Finding by texts alone: fields, scores, the change's start and rank, and what calibration gains on other things."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.bench.retrieval import modality_gap
from langfield.suite.find.lexiclip import Change, Settings, fields, find, score
from langfield.suite.slots import Items
from langfield.suite.spec import clip_model
from langfield.suite.toy.captions import caption
from langfield.suite.toy.scenes import make_scene


def unit(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_a_description_in_fields():
    assert fields("colour: red; shape: ring.\nIt lies on the left. ") == (
        "colour: red",
        "shape: ring",
        "It lies on the left",
    )
    assert fields(" ; . ") == ()


def test_score_is_half_the_best_field_and_half_the_whole():
    question, whole, parts = unit(0, 8), unit(1, 8), unit(2, 3, 8)
    expected = (max(float(part @ question) for part in parts) + float(whole @ question)) / 2
    assert float(score(question, whole, parts)) == pytest.approx(expected)
    assert float(score(question, whole, parts[:0])) == pytest.approx(float(whole @ question))


def test_change_begins_as_none_and_has_the_rank_it_says():
    vectors = unit(3, 5, 12)
    torch.testing.assert_close(Change(12, 4, 0)(vectors), vectors)
    change = Change(12, 4, 0)
    change.up.data = torch.randn(12, 4)
    assert int(torch.linalg.matrix_rank(change.up @ change.down)) == 4


def test_pictures_are_never_read():
    texts, labels = unit(4, 10, 12), torch.arange(10) % 5
    one = find(Items(unit(5, 10, 12), None, texts, labels))
    other = find(Items(torch.full((10, 12), torch.nan), None, texts, labels))
    asked = Items(torch.full((3, 12), torch.nan), None, unit(6, 3, 12))
    assert torch.equal(one(asked), other(asked))
    with pytest.raises(SettingsError, match="without texts"):
        find(Items(unit(5, 10, 12)))


def test_without_labels_texts_are_taken_as_they_are():
    texts = unit(4, 10, 12)
    transform = find(Items(texts, None, texts))
    torch.testing.assert_close(transform(Items(texts, None, texts)), texts)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", ["bag", "dense"])
def test_effect_calibration_on_some_things_finds_others(name, seed):
    """Short questions to long descriptions of scenes not calibrated on: 8 to 25 points, a fifth of the gap."""
    model = clip_model(f"toy:{name}")

    def said(which: str, first: int, last: int) -> torch.Tensor:
        scenes = [make_scene(20_000 + 5000 * seed + i, 2) for i in range(first, last)]
        return model.encode_texts([getattr(caption(scene), which) for scene in scenes])

    taught = torch.cat([said("short", 0, 150), said("long", 0, 150)])
    transform = find(Items(taught, None, taught, torch.arange(150).repeat(2)), settings=Settings(steps=100))
    questions, answers = said("short", 150, 300), said("long", 150, 300)

    def recall(change) -> tuple[float, float]:
        q, a = (change(Items(v, None, v)) for v in (questions, answers))
        return float(((q @ a.T).argmax(dim=1) == torch.arange(len(q))).float().mean()), modality_gap(q, a)

    before, after = recall(lambda items: items.text_vectors), recall(transform)
    assert after[0] > before[0] + 0.05
    assert after[1] < before[1] / 2


def test_settings_of_nothing_are_no_change():
    texts, labels = unit(4, 10, 12), torch.arange(10) % 5
    still = find(Items(texts, None, texts, labels), settings=dataclasses.replace(Settings(), steps=0))
    torch.testing.assert_close(still(Items(texts, None, texts)), texts)
