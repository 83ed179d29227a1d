"""The contract of every method that learns a head from examples."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from langfield.suite.families import method
from langfield.suite.head import AGAINST, Head, read_head, write_head
from langfield.suite.slots import NONE_OF_THESE, FewShotTask
from tests.suite.contract.common import check_same, check_settings, rows

DIM, NAMES, SHOTS = 48, ("mug", "globe", "teapot"), 4
CPU_SECONDS = 60.0
"""Of one fit on this small task; caught is what runs away, not what is slow."""


def task(seed: int = 0, none: int = 3) -> FewShotTask:
    """Examples around the direction of their name's text, negatives around another."""
    generator = torch.Generator().manual_seed(seed)
    texts = normalize(torch.randn(len(NAMES), DIM, generator=generator), dim=-1)
    negatives = normalize(torch.randn(2, DIM, generator=generator), dim=-1)
    labels = torch.arange(len(NAMES)).repeat_interleave(SHOTS)
    noise = torch.randn(len(labels) + none, DIM, generator=generator)
    towards = torch.cat([texts[labels], negatives[:1].expand(none, -1)])
    vectors = normalize(towards + 0.15 * noise, dim=-1)
    return FewShotTask(vectors, torch.cat([labels, torch.full((none,), NONE_OF_THESE)]), NAMES, texts, negatives)


@pytest.fixture(params=rows("teach"))
def fit(request: pytest.FixtureRequest) -> Any:
    module = method("teach", request.param)
    if "model" in module.NEEDS:
        pytest.fail("the contract has no model to give yet")
    return module.fit


def test_a_head_for_the_names_that_were_given(fit):
    head = fit(task())
    assert isinstance(head, Head)
    assert head.names == NAMES
    assert head.dim == DIM
    assert AGAINST in head.rows
    assert head.weight.dtype == head.bias.dtype == torch.float32
    assert torch.isfinite(head.weight).all()
    assert torch.isfinite(head.bias).all()
    assert dict(head.about)["method"]


def test_examples_are_told_apart(fit):
    given = task()
    found = fit(given).relevancy(given.vectors)
    known = given.labels >= 0
    assert (found.argmax(dim=0)[known] == given.labels[known]).all()
    assert (found[:, ~known] < 0.5).all()


def test_one_by_one_equals_a_batch(fit):
    head, vectors = fit(task()), task(1).vectors
    one = torch.stack([head.relevancy(vector) for vector in vectors], dim=1)
    torch.testing.assert_close(one, head.relevancy(vectors), rtol=0, atol=1e-5)


def test_the_same_examples_give_the_same_head(fit):
    check_same(fit(task()), fit(task()))


def test_the_order_of_examples_does_not_matter(fit):
    given = task()
    order = torch.randperm(len(given.labels), generator=torch.Generator().manual_seed(5))
    mixed = dataclasses.replace(given, vectors=given.vectors[order], labels=given.labels[order])
    check_same(fit(given), fit(mixed), 1e-3)


def test_names_in_another_order_give_the_same_answers_in_that_order(fit):
    given, order = task(), [2, 0, 1]
    place = torch.tensor([order.index(i) for i in range(3)])
    labels = torch.where(given.labels < 0, NONE_OF_THESE, place[given.labels.clamp_min(0)])
    names = tuple(NAMES[i] for i in order)
    other = dataclasses.replace(given, labels=labels, names=names, texts=given.texts[order])
    vectors = task(2).vectors
    torch.testing.assert_close(fit(given).relevancy(vectors)[order], fit(other).relevancy(vectors), rtol=0, atol=1e-3)


def test_what_was_given_is_left_alone(fit):
    given, copy = task(), task()
    fit(given)
    assert torch.equal(given.vectors, copy.vectors)
    assert torch.equal(given.texts, copy.texts)


def test_one_example_of_one_name_will_do(fit):
    given = task(none=0)
    single = FewShotTask(given.vectors[:1], given.labels[:1], NAMES[:1], given.texts[:1], given.negatives)
    assert torch.isfinite(fit(single).relevancy(given.vectors)).all()


def test_a_file_gives_the_same_head(fit, tmp_path):
    head = fit(task())
    write_head(tmp_path / "head.safetensors", head)
    check_same(head, read_head(tmp_path / "head.safetensors"))


def test_it_does_not_run_away(fit):
    start = time.process_time()
    fit(task())
    assert time.process_time() - start < CPU_SECONDS


@pytest.mark.parametrize("name", rows("teach"))
def test_settings(name):
    check_settings("teach", name)
