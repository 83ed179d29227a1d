"""What methods that learn from examples share."""

from __future__ import annotations

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.fewshot import CLIP_SCALE, columns, examples_head, needed, scale_of, targets
from langfield.suite.head import AGAINST
from langfield.suite.slots import NONE_OF_THESE, FewShotTask
from tests.suite.contract.common import task
from tests.suite.tiny_clip import tiny_clip


def test_columns_are_cosines_with_the_nearest_negative_as_the_last():
    given = task()
    labels = targets(given)
    assert (labels == 3).sum() == (given.labels == NONE_OF_THESE).sum() == 3
    found = columns(given.vectors, given.texts, given.negatives)
    for row, vector in zip(found, given.vectors, strict=True):
        cosines = [float(vector @ t) for t in given.texts]
        assert row.tolist() == pytest.approx([*cosines, max(float(vector @ n) for n in given.negatives)], abs=1e-5)
    assert columns(given.vectors, given.texts, given.negatives[:0]).shape == (15, 3)


def test_what_cannot_be_learnt_from():
    given = task()
    bare = FewShotTask(given.vectors, given.labels, given.names, given.texts, given.negatives[:0])
    with pytest.raises(SettingsError, match="held against"):
        targets(bare)
    empty = FewShotTask(given.vectors[:0], given.labels[:0], given.names, given.texts, given.negatives)
    with pytest.raises(SettingsError, match="no example"):
        targets(empty)
    with pytest.raises(SettingsError, match="anything needs a model"):
        needed(None, "anything")


def test_the_head_has_a_row_a_name_and_the_negatives():
    given = task()
    head = examples_head(given, 2 * given.texts, 7.0, (("method", "x"),))
    assert head.rows == (0, 1, 2, AGAINST, AGAINST)
    torch.testing.assert_close(head.weight, torch.cat([2 * given.texts, given.negatives]))
    assert head.rivals
    assert dict(head.about) == {"method": "x", "examples": "15"}


def test_the_scale_is_the_models_own():
    assert scale_of(None) == CLIP_SCALE
    assert scale_of(tiny_clip()) == pytest.approx(1 / 0.07, rel=1e-4)


def test_second_vectors_are_of_the_same_examples():
    given = task()
    with pytest.raises(ValueError, match="another encoder"):
        FewShotTask(given.vectors, given.labels, given.names, given.texts, given.negatives, given.vectors[1:])
