"""Instances on disk: what is written comes back, and crafted files are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import Identity
from langfield.errors import FormatError
from langfield.field.instances import Instances, load_instances
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from tests.blobs import blob_gaussians


def made_up() -> Instances:
    """Two things: Gaussians 0 to 3, and 2 alone, which lies inside the first."""
    return Instances(
        torch.eye(4).half()[:2],
        torch.tensor([2, 1]).int(),
        torch.tensor([2.0, 0.9]),
        torch.tensor([0, 4, 5]),
        torch.tensor([0, 1, 2, 3, 2]).int(),
        torch.tensor([[0, 0, 3], [0, 1, 5], [1, 0, 4]]).int(),
    )


def test_what_holds_a_gaussian():
    found = made_up()
    assert len(found) == 2
    assert found.sizes.tolist() == [4, 1]
    assert found.gaussians(1).tolist() == [2]
    assert found.of_gaussian(2) == [0, 1], "another view has seen the larger one"
    assert replace(found, views=torch.tensor([2, 2]).int()).of_gaussian(2) == [1, 0]
    assert found.of_gaussian(0) == [0]
    assert found.of_gaussian(99) == []
    assert found.score(torch.eye(4)[:3]).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_clicks_choose_what_was_seen_often_and_then_the_smallest():
    things = of_sets([{0, 1, 2, 3, 4}, {0, 1, 2}, {0, 1}, {0}])
    for views, order in (([9, 9, 9, 9], [3, 2, 1, 0]), ([9, 3, 2, 4], [3, 1, 0, 2]), ([2, 1, 1, 2], [3, 0, 2, 1])):
        assert replace(things, views=torch.tensor(views).int()).of_gaussian(0) == order
    assert things.in_order(torch.zeros(0, dtype=torch.int64)) == []


N = 9
THINGS = st.lists(st.sets(st.integers(0, N - 1), min_size=1), min_size=1, max_size=5)


def of_sets(things: list[set[int]]) -> Instances:
    """Make instances of sets of Gaussians, largest first; each has a vector, and a segment in view 0 and 1."""
    things = sorted(things, key=len, reverse=True)
    count = len(things)
    return Instances(
        torch.eye(N).half()[:count],
        torch.arange(count).int(),
        torch.arange(count).float(),
        torch.tensor([0, *np.cumsum([len(t) for t in things])]),
        torch.tensor([row for t in things for row in sorted(t)]).int(),
        torch.tensor([[i, view, 10 * i + view] for i in range(count) for view in (0, 1)]).int(),
        torch.arange(count) + 100,
    )


@given(THINGS, st.sets(st.integers(0, N - 1)))
def test_of_kept_gaussians_every_thing_keeps_its_own(things: list[set[int]], kept: set[int]):
    whole, place = of_sets(things), {row: i for i, row in enumerate(sorted(kept))}
    part = whole.of_kept(torch.tensor([row in kept for row in range(N)]))
    load_instances(part.tensors(), max(1, len(kept)), N)  # sound, rows rising
    assert sorted(part.sizes.tolist(), reverse=True) == part.sizes.tolist()
    was = part.views.tolist()  # which thing of the whole each is
    left = {i: [place[r] for r in whole.gaussians(i).tolist() if r in kept] for i in range(len(whole))}
    assert sorted(was) == [i for i, rows in left.items() if rows]
    assert [part.gaussians(i).tolist() for i in range(len(part))] == [left[i] for i in was]
    assert torch.equal(part.vectors, whole.vectors[was])
    assert part.reliability.tolist() == was
    assert part.ids is not None
    assert part.ids.tolist() == [100 + i for i in was]
    assert part.members.tolist() == [[i, view, 10 * old + view] for i, old in enumerate(was) for view in (0, 1)]


def test_they_lie_in_the_field_file_whole_or_not_at_all(tmp_path):
    gaussians = blob_gaussians()
    field = Field(gaussians, torch.randn(3, len(gaussians), 4), Identity(4), {}, None, made_up())
    save_field(tmp_path, field)
    found = load_field(tmp_path).instances
    assert found is not None
    assert all(torch.equal(t, made_up().tensors()[name]) for name, t in found.tensors().items())
    assert found.ids is None
    named = replace(made_up(), ids=torch.tensor([7, 3]))
    save_field(tmp_path / "named", replace(field, instances=named))
    again = load_field(tmp_path / "named").instances
    assert again is not None
    assert again.ids is not None
    assert again.ids.tolist() == [7, 3]
    tensors, about = read_tensors(tmp_path / "field.safetensors")
    del tensors["instances.first"]
    write_tensors(tmp_path / "field.safetensors", tensors, about)
    with pytest.raises(FormatError, match=r"missing.*instances\.first"):
        load_field(tmp_path)
    save_field(tmp_path / "without", Field(gaussians, None, None, {}))
    assert load_field(tmp_path / "without").instances is None
    assert not [n for n in read_tensors(tmp_path / "without" / "field.safetensors")[0] if n.startswith("instances")]


CHANGES = {
    "missing": ({"rows": None}, "missing or unknown"),
    "unknown": ({"more": torch.zeros(1)}, "missing or unknown"),
    "dtype": ({"rows": torch.zeros(5)}, "is not torch.int32"),
    "axes": ({"vectors": torch.zeros(2).half()}, "of 2 axes"),
    "width": ({"vectors": torch.eye(5).half()[:2]}, "width 5"),
    "counts": ({"views": torch.ones(3).int()}, "2 vectors, 3 views"),
    "columns": ({"members": torch.zeros(3, 2).int()}, "2 columns"),
    "nan": ({"vectors": torch.full((2, 4), torch.nan).half()}, "not finite"),
    "trust": ({"reliability": torch.tensor([1.0, torch.inf])}, "not finite"),
    "beginnings": ({"first": torch.tensor([0, 6, 5])}, "do not rise"),
    "end": ({"first": torch.tensor([0, 4, 6])}, "do not rise"),
    "outside": ({"rows": torch.tensor([0, 1, 2, 9, 2]).int()}, "outside the 9"),
    "negative": ({"rows": torch.tensor([-1, 1, 2, 3, 2]).int()}, "outside the 9"),
    "twice": ({"rows": torch.tensor([0, 1, 1, 3, 2]).int()}, "do not rise"),
    "member": ({"members": torch.tensor([[2, 0, 0]]).int()}, "none of the 2"),
    "ids": ({"ids": torch.tensor([4, 5, 6])}, "3 ids"),
    "same ids": ({"ids": torch.tensor([4, 4])}, "one id"),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_crafted_tensors(name):
    change, message = CHANGES[name]
    tensors = {k: v for k, v in {**made_up().tensors(), **change}.items() if v is not None}
    with pytest.raises(FormatError, match=message):
        load_instances(tensors, 9, 4)
