"""The contract of every method that learns a head from examples."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from langfield.suite.families import FAMILIES, method
from langfield.suite.head import AGAINST, Head, read_head, write_head
from langfield.suite.model import ClipModel
from langfield.suite.slots import NONE_OF_THESE, FewShotTask
from langfield.suite.spec import clip_model
from langfield.suite.trainer import frozen
from tests.suite.contract.common import SHAPES, anatomy, check_head, check_same, check_settings, encode, rows, task

CPU_SECONDS = 60.0
"""Of one fit on this small task; caught is what runs away, not what is slow."""


@pytest.fixture(scope="module")
def toy() -> ClipModel:
    """A CLIP that knows what its words mean."""
    return clip_model("toy:good")


@dataclass(frozen=True)
class Row:
    """A method and tasks in the space it is asked in."""

    module: Any
    model: ClipModel | None

    def fit(self, given: FewShotTask) -> Head:
        return self.module.fit(given, self.model)

    def task(self, seed: int = 0, none: int = 3) -> FewShotTask:
        return task(seed, none, encode if self.model is None else self.model.encode_texts)


@pytest.fixture(params=rows("teach"), scope="module")
def row(request: pytest.FixtureRequest, toy: ClipModel) -> Row:
    module = method("teach", request.param)
    return Row(module, toy if "model" in module.NEEDS else None)


@pytest.fixture(scope="module")
def head(row: Row) -> Head:
    """What a row makes of its first task."""
    return row.fit(row.task())


def test_a_head_for_the_names_that_were_given(row, head):
    check_head(head, row.task().vectors.shape[1])
    assert head.names == SHAPES
    assert AGAINST in head.rows


def test_examples_are_told_apart(row, head):
    given = row.task()
    found = head.relevancy(given.vectors)
    known = given.labels >= 0
    assert (found.argmax(dim=0)[known] == given.labels[known]).all()
    assert (found[:, ~known] < 0.5).all()


def test_one_by_one_equals_a_batch(row, head):
    vectors = row.task(1).vectors
    one = torch.stack([head.relevancy(vector) for vector in vectors], dim=1)
    torch.testing.assert_close(one, head.relevancy(vectors), rtol=0, atol=1e-5)


def test_the_same_examples_give_the_same_head(row, head):
    check_same(head, row.fit(row.task()))


def test_the_order_of_examples_does_not_matter(row, head):
    given = row.task()
    order = torch.randperm(len(given.labels), generator=torch.Generator().manual_seed(5))
    mixed = dataclasses.replace(given, vectors=given.vectors[order], labels=given.labels[order])
    check_same(head, row.fit(mixed), 1e-3)


def test_names_in_another_order_give_the_same_answers_in_that_order(row, head):
    given, order = row.task(), [2, 0, 1]
    place = torch.tensor([order.index(i) for i in range(3)])
    labels = torch.where(given.labels < 0, NONE_OF_THESE, place[given.labels.clamp_min(0)])
    names = tuple(SHAPES[i] for i in order)
    other = dataclasses.replace(given, labels=labels, names=names, texts=given.texts[order])
    vectors = row.task(2).vectors
    torch.testing.assert_close(head.relevancy(vectors)[order], row.fit(other).relevancy(vectors), rtol=0, atol=1e-3)


def test_what_was_given_is_left_alone(row):
    given, copy = row.task(), row.task()
    row.fit(given)
    assert torch.equal(given.vectors, copy.vectors)
    assert torch.equal(given.texts, copy.texts)


def test_one_example_of_one_name_will_do(row):
    given = row.task(none=0)
    single = FewShotTask(given.vectors[:1], given.labels[:1], SHAPES[:1], given.texts[:1], given.negatives)
    assert torch.isfinite(row.fit(single).relevancy(given.vectors)).all()


def test_a_file_gives_the_same_head(head, tmp_path):
    write_head(tmp_path / "head.safetensors", head)
    check_same(head, read_head(tmp_path / "head.safetensors"))


def test_it_does_not_run_away(row):
    start = time.process_time()
    row.fit(row.task())
    assert time.process_time() - start < CPU_SECONDS


@pytest.mark.parametrize("name", rows("teach"))
def test_a_model_that_is_given_is_left_as_it_was(name, toy):
    before = anatomy(toy)
    method("teach", name).fit(task(encoder=toy.encode_texts), toy)
    assert anatomy(toy) == before
    assert all(parameter.grad is None for parameter in toy.module.parameters())


TRAINED = [name for name in FAMILIES["teach"][0] if hasattr(method("teach", name), "begin")]


@pytest.mark.parametrize(
    "name", TRAINED or [pytest.param("", marks=pytest.mark.skip(reason="no method of teach that trains is built yet"))]
)
def test_gradient_reaches_all_that_is_learnt_and_nothing_else(name, toy):
    module: Any = method("teach", name)
    model, given = toy, task(encoder=toy.encode_texts)
    training = module.begin(given, model)
    learnt = list(training.learner.parameters())
    others = [p for p in model.module.parameters() if not any(p is mine for mine in learnt)]
    with frozen(model.module):
        for parameter in learnt:
            parameter.requires_grad_(True)
        torch.stack(list(training.objective(torch.arange(training.examples)).values())).sum().backward()
    assert learnt
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learnt)
    assert all(p.grad is None for p in others)
    assert {name for stage in training.stages for name in stage.trainable}


@pytest.mark.parametrize("name", rows("teach"))
def test_settings(name):
    check_settings("teach", name)
