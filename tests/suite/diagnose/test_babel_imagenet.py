"""Languages: accuracy one thing at a time, gaps on the same classes, files as Babel-ImageNet has them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from langfield.artefacts import write_json
from langfield.errors import FormatError, SettingsError
from langfield.suite.class_names import read_forms, read_labels
from langfield.suite.diagnose.babel_imagenet import Settings, accuracy, diagnose, languages
from langfield.suite.slots import Items, Language
from tests.suite.contract.common import encode, unit

LABELS = {"en": ((0, 1, 2, 3), ("mug", "globe", "teapot", "vase")), "de": ((2, 0), ("Teekanne", "Becher"))}


def seen(count: int = 60) -> Items:
    truth = torch.arange(count) % 5  # of class 4 nobody has a name
    vectors = torch.nn.functional.normalize(
        encode(["mug", "globe", "teapot", "vase", "book"])[truth] + unit(3, count), dim=1
    )
    return Items(vectors, labels=truth)


def by_hand(items: Items, classes: tuple[int, ...], names: list[torch.Tensor]) -> tuple[float, int]:
    right = asked = 0
    assert items.labels is not None
    for vector, label in zip(items.vectors, items.labels.tolist(), strict=True):
        if label in classes:
            asked += 1
            cosines = [float(vector @ name) for name in names]
            right += classes[cosines.index(max(cosines))] == label
    return right / asked, asked


def test_a_language_is_asked_for_its_own_classes_alone():
    items, made = seen(), languages(LABELS, encode)
    assert items.labels is not None
    for language in made:
        classes, names = LABELS[language.code]
        share, _ = by_hand(items, classes, list(encode(names)))
        assert accuracy(items.vectors, items.labels, language) == pytest.approx(share)


def test_rows_say_how_far_a_language_lies_behind_on_the_same_things():
    items = dataclasses.replace(seen(), languages=languages(LABELS, encode))
    first, second = diagnose(items)
    assert (first["language"], second["language"]) == ("de", "en")
    assert (first["classes"], first["things"], first["chance"]) == (2, 24, 0.5)
    english = by_hand(items, (2, 0), list(encode(["teapot", "mug"])))[0]
    assert first["reference"] == pytest.approx(english, abs=1e-4)
    assert first["gap"] == pytest.approx(english - first["accuracy"], abs=1e-4)
    assert second["gap"] == 0
    assert all("gap" not in row for row in diagnose(items, Settings(reference="fr")))


def test_forms_are_averaged_and_the_mean_is_of_unit_length():
    made = languages(LABELS, encode, {"de": ("{}", "ein Foto von {}")}, ["DE"])
    assert [one.code for one in made] == ["de"]
    for row, name in zip(made[0].texts, LABELS["de"][1], strict=True):
        both = encode([name, f"ein Foto von {name}"]).sum(0)
        torch.testing.assert_close(row, both / both.norm())
    with pytest.raises(SettingsError, match="'sw'"):
        languages(LABELS, encode, only=["sw"])


def test_ties_are_wrong():
    vectors = torch.eye(2)
    same = Language("xx", torch.tensor([0, 1]), torch.ones(2, 2))
    assert accuracy(vectors, torch.tensor([0, 1]), same) == 0.0


def test_without_classes_or_names_it_refuses():
    with pytest.raises(SettingsError, match="labels file"):
        diagnose(seen())


def test_files_as_the_release_has_them(tmp_path: Path):
    path = tmp_path / "babel_imagenet.json"
    write_json(path, {"DE": [[2, 0], ["Teekanne", "Becher"]], "EN": [[0], ["mug"]]})
    assert read_labels(path)["de"] == ((2, 0), ("Teekanne", "Becher"))
    assert list(read_labels(path)) == ["de", "en"]
    write_json(path, {"DE": ["ein Foto von {}", "ein Bild"]})
    assert read_forms(path) == {"de": ("ein Foto von {}", "ein Bild {}")}


@pytest.mark.parametrize(
    "table",
    [
        [1],
        {"DE": [[0]]},
        {"DE": [[0], [1]]},
        {"DE": [[0, 0], ["a", "b"]]},
        {"DE": [[-1], ["a"]]},
        {"DE": [[True], ["a"]]},
        {"DE": [[0], ["a", "b"]]},
        {"DE": [[0], [""]]},
        {"DE": [[0], ["a" * 500]]},
    ],
)
def test_files_that_are_none(tmp_path: Path, table):
    path = tmp_path / "labels.json"
    write_json(path, table)
    with pytest.raises(FormatError):
        read_labels(path)
    write_json(path, {"DE": []})
    with pytest.raises(FormatError):
        read_forms(path)
