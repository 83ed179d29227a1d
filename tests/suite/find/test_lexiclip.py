"""Finding by texts alone: fields, scores, the change's start and rank, and what calibration gains on other things."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.find.lexiclip import Change, Settings, fields, find, score
from langfield.suite.slots import Items


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


def test_settings_of_nothing_are_no_change():
    texts, labels = unit(4, 10, 12), torch.arange(10) % 5
    still = find(Items(texts, None, texts, labels), settings=dataclasses.replace(Settings(), steps=0))
    torch.testing.assert_close(still(Items(texts, None, texts)), texts)
