"""The contract of every method that maps things into a space where like things are near."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from langfield.suite.families import method
from tests.suite.contract.common import a_model, anatomy, check_settings, items, rows, some


@pytest.fixture(params=rows("find"), scope="module")
def module(request: pytest.FixtureRequest) -> Any:
    return method("find", request.param)


@pytest.fixture(scope="module")
def found(module: Any) -> tuple[Any, torch.Tensor]:
    transform = module.find(items(), a_model() if "model" in module.NEEDS else None)
    return transform, transform(items())


def test_a_unit_vector_each(found):
    _, vectors = found
    assert vectors.ndim == 2
    assert len(vectors) == 12
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(12), rtol=0, atol=1e-4)


def test_one_by_one_and_in_another_order_gives_the_same(found):
    transform, vectors = found
    order = [5, 0, 11, 3]
    torch.testing.assert_close(transform(some(items(), order)), vectors[order], rtol=0, atol=1e-3)
    torch.testing.assert_close(transform(some(items(), [7])), vectors[7:8], rtol=0, atol=1e-3)


def test_the_same_things_give_the_same_map_and_a_model_is_left_alone(module, found):
    model = a_model()
    before = anatomy(model)
    again = module.find(items(), model)(items())
    assert torch.equal(again, found[1])
    assert anatomy(model) == before


@pytest.mark.parametrize("name", rows("find"))
def test_settings(name):
    check_settings("find", name)
