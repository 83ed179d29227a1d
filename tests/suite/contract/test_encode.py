"""The contract of every change of an encoder: it works, and comes off bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from langfield.suite.families import method
from tests.suite.contract.common import a_model, anatomy, check_settings, rows
from tests.suite.tiny_clip import pictures

TEXTS = ["a red mug", "globe"]


@pytest.fixture(params=rows("encode"), scope="module")
def module(request: pytest.FixtureRequest) -> Any:
    return method("encode", request.param)


def test_vectors_stay_unit_and_of_their_width(module):
    model = a_model()
    module.modify(model)
    for vectors in (model.encode_images(pictures()), model.encode_texts(TEXTS)):
        assert vectors.shape[1] == model.dim
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)), rtol=0, atol=1e-4)


def test_taken_back_it_leaves_the_model_bit_for_bit(module):
    model = a_model()
    before, whole = (model.encode_images(pictures()), model.encode_texts(TEXTS)), anatomy(model)
    change = module.modify(model)
    assert anatomy(model) != whole
    first = model.encode_texts(TEXTS)
    change.remove()
    assert anatomy(model) == whole
    assert torch.equal(model.encode_images(pictures()), before[0])
    assert torch.equal(model.encode_texts(TEXTS), before[1])
    module.modify(model)
    assert torch.equal(model.encode_texts(TEXTS), first), "applied again it is another change"


def test_one_by_one_equals_a_batch(module):
    model = a_model()
    module.modify(model)
    torch.testing.assert_close(model.encode_texts(TEXTS)[1:], model.encode_texts(TEXTS[1:]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", rows("encode"))
def test_settings(name):
    check_settings("encode", name)
