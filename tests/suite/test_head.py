"""Heads: LERF's rule written out, what a head may be, and its file."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.errors import FormatError
from langfield.suite.head import AGAINST, Head, read_head, write_head


def some_head(seed: int = 0, rivals: bool = True, against: int = 2) -> Head:
    generator = torch.Generator().manual_seed(seed)
    rows = (0, 1, 2, 1, *(AGAINST,) * against)
    weight = torch.randn(len(rows), 6, generator=generator)
    bias = torch.randn(len(rows), generator=generator)
    return Head(("a", "b", "c"), weight, bias, rows, 3.0, rivals, (("method", "test"),))


@given(seed=st.integers(0, 1000), rivals=st.booleans(), against=st.integers(0, 2))
def test_against_the_rule_written_out(seed, rivals, against):
    if not rivals and not against:
        return
    head = some_head(seed, rivals, against)
    vector = normalize(torch.randn(6, generator=torch.Generator().manual_seed(seed + 1)), dim=0)
    rows = [float(w @ vector) + float(b) for w, b in zip(head.weight, head.bias, strict=True)]
    for name in range(3):
        mine = max(r for r, owner in zip(rows, head.rows, strict=True) if owner == name)
        others = {AGAINST} | ({0, 1, 2} - {name} if rivals else set())
        pairs = [1 / (1 + math.exp(-3 * (mine - r))) for r, o in zip(rows, head.rows, strict=True) if o in others]
        assert float(head.relevancy(vector)[name]) == pytest.approx(min(pairs), abs=1e-5)


def test_shapes_are_free_and_nothing_seen_is_neutral():
    head = some_head()
    found = head.relevancy(torch.zeros(2, 5, 6))
    assert found.shape == (3, 2, 5)
    assert (found == 0.5).all()


@pytest.mark.parametrize(
    "change",
    [
        {"rows": (0, 1, 2, 1, -1)},
        {"rows": (0, 1, 1, 1, -1, -1)},
        {"rows": (0, 1, 2, 3, -1, -1)},
        {"bias": torch.zeros(5)},
    ],
)
def test_parts_that_do_not_fit(change):
    with pytest.raises(ValueError, match="row"):
        dataclasses.replace(some_head(), **change)


def test_a_name_needs_something_to_be_held_against():
    with pytest.raises(ValueError, match="held against"):
        some_head(rivals=False, against=0)
    with pytest.raises(ValueError, match="held against"):
        Head(("a",), torch.ones(1, 6), torch.zeros(1), (0,), 1.0, rivals=True)


def test_a_file_gives_the_same_head(tmp_path):
    head = some_head()
    write_head(tmp_path / "a.safetensors", head)
    again = read_head(tmp_path / "a.safetensors")
    assert torch.equal(again.weight, head.weight)
    assert torch.equal(again.bias, head.bias)
    assert dataclasses.replace(again, weight=head.weight, bias=head.bias) == dataclasses.replace(head)


@pytest.mark.parametrize(
    ("key", "value"),
    [("rows", [0, 1, 2, True, -1, -1]), ("rows", 3), ("names", ["a", 5, "c"]), ("scale", float("inf")), ("scale", "3"),
     ("rivals", 1), ("kind", "codec"), ("about", {"a": 1}), ("names", ["a", "b"])],
)  # fmt: skip
def test_damaged_descriptions_are_refused(tmp_path, key, value):
    path = tmp_path / "a.safetensors"
    write_head(path, some_head())
    tensors, about = read_tensors(path)
    write_tensors(path, tensors, about | {key: value})
    with pytest.raises(FormatError, match="not a head"):
        read_head(path)


def test_damaged_numbers_are_refused(tmp_path):
    path, head = tmp_path / "a.safetensors", some_head()
    write_head(path, dataclasses.replace(head, bias=head.bias * float("nan")))
    with pytest.raises(FormatError, match="finite"):
        read_head(path)
