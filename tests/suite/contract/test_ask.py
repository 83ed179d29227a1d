"""The contract of every method that turns words into a head."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from langfield.suite.families import method
from langfield.suite.head import AGAINST, read_head, write_head
from langfield.suite.slots import Question
from tests.suite.contract.common import (
    NAMES,
    Writer,
    check_head,
    check_same,
    check_settings,
    encode,
    rows,
    unit,
)

AGAINST_WORDS = ("object", "texture")


def question(texts: tuple[str, ...] = NAMES, negatives: tuple[str, ...] = AGAINST_WORDS) -> Question:
    """What is asked, with a writer and a scene of twenty things, four of which fit the names."""
    return Question(texts, negatives, Writer(), torch.cat([encode(texts), encode(["vase"]), unit(3, 16)]))


@pytest.fixture(params=rows("ask"), scope="module")
def module(request: pytest.FixtureRequest) -> Any:
    return method("ask", request.param)


def test_a_head_with_a_row_of_the_answer_for_each_text(module):
    head = module.ask(question(), encode)
    check_head(head)
    assert AGAINST in head.rows
    assert len(head.names) == 1 if getattr(module, "TOGETHER", False) else head.names == NAMES


def test_what_is_exactly_asked_for_is_found_best(module):
    if getattr(module, "TOGETHER", False):
        pytest.skip("its texts are one question")
    found = module.ask(question(), encode).relevancy(encode(NAMES))
    assert torch.equal(found.argmax(dim=0), torch.arange(3))
    assert (found.diagonal() > 0.5).all()


def test_the_same_words_give_the_same_head_and_negatives_have_no_order(module):
    head = module.ask(question(), encode)
    check_same(head, module.ask(question(), encode))
    other = module.ask(question(negatives=AGAINST_WORDS[::-1]), encode)
    torch.testing.assert_close(head.relevancy(unit(1, 30)), other.relevancy(unit(1, 30)), rtol=0, atol=1e-5)


def test_texts_in_another_order_give_the_same_answers_in_that_order(module):
    if getattr(module, "TOGETHER", False):
        pytest.skip("its texts are one question, whose order counts")
    order = [2, 0, 1]
    one = module.ask(question(), encode).relevancy(unit(1, 30))
    other = module.ask(question(tuple(NAMES[i] for i in order)), encode).relevancy(unit(1, 30))
    torch.testing.assert_close(one[order], other, rtol=0, atol=1e-5)


def test_what_it_needs_is_said_where_it_is_missing(module):
    from langfield.errors import LangfieldError

    for need in module.NEEDS:
        with pytest.raises(LangfieldError):
            module.ask(Question(NAMES, AGAINST_WORDS), encode)
        assert need in ("generator", "gallery")


def test_a_file_gives_the_same_head(module, tmp_path):
    head = module.ask(question(), encode)
    write_head(tmp_path / "head.safetensors", head)
    check_same(head, read_head(tmp_path / "head.safetensors"))


@pytest.mark.parametrize("name", rows("ask"))
def test_settings(name):
    check_settings("ask", name)
