"""Scores of what changes over time, in closed form; and the published rule that calls everything active for a while."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import SettingsError
from langfield.evaluate.dynamic import (
    MaskScore,
    mean_rule,
    score_mask,
    score_time,
    smooth_over_time,
    summarise_masks,
    summarise_time,
)
from langfield.evaluate.dynamic_labels import StateQuery
from tests.series import cases


def published(similarity, truth, iou, threshold):
    """The evaluation of 4D LangSplat in plain steps: accuracy and mean IoU over the union."""
    said = [s >= threshold for s in similarity]
    right = sum(a == b for a, b in zip(said, truth, strict=True)) / len(said)
    values = [v if a and b else 0 for a, b, v in zip(said, truth, iou, strict=True) if a or b]
    return right, sum(values) / len(values) if values else 0


def test_a_case_by_hand():
    """Ten steps, true 2 to 5, told 4 to 7: six right of ten; overlaps 0.5 and 1 over a union of six steps."""
    answer = np.arange(10) // 4 == 1
    iou = np.full(10, 0.25)
    iou[4], iou[5] = 0.5, 1.0
    score = score_time(StateQuery("q", "mug", ((2, 5),)), answer, iou)
    assert score.accuracy == pytest.approx(0.6)
    assert score.viou == pytest.approx(1.5 / 6)
    assert score.called_active == pytest.approx(0.4)


@settings(max_examples=cases(60), deadline=None)
@given(st.data(), st.integers(1, 30))
def test_as_published(data, steps):
    def row(values):
        return np.array(data.draw(st.lists(values, min_size=steps, max_size=steps)))

    similarity, iou = row(st.floats(-1, 1)), row(st.floats(0, 1))
    first = data.draw(st.integers(0, steps - 1))
    query = StateQuery("q", "mug", ((first, data.draw(st.integers(first, steps - 1))),))
    score = score_time(query, similarity >= similarity.mean(), iou)
    wanted = published(similarity, query.active(steps), iou, similarity.mean())
    assert (score.accuracy, score.viou) == pytest.approx(wanted)


def test_perfect_and_opposite_answers():
    query = StateQuery("q", "mug", ((0, 1), (5, 7)))
    truth, one = query.active(9), np.ones(9)
    assert truth.sum() == 5
    assert score_time(query, truth, one).viou == 1
    assert score_time(query, ~truth, one).accuracy == 0
    assert score_time(query, ~truth, one).viou == 0


def test_states_that_never_occur_have_no_viou_and_count_apart():
    never = StateQuery("n", "mug", ())
    real = StateQuery("r", "mug", ((0, 4),), "sentence")
    silent, half = np.zeros(10, bool), np.arange(10) < 5
    scores = [score_time(never, silent, np.ones(10)), score_time(never, half, np.ones(10))]
    assert [s.viou for s in scores] == [None, None]
    found = summarise_time([*scores, score_time(real, half, np.full(10, 0.8)), score_time(real, silent, np.ones(10))])
    assert found == pytest.approx({
        "Acc": 0.75, "vIoU": 0.4, "Acc (sentence)": 0.75, "vIoU (sentence)": 0.4, "missed": 0.5,
        "false active": 0.25, "answered absent": 0.5,
    })  # fmt: skip


def test_what_does_not_fit_is_refused():
    query = StateQuery("q", "mug", ((0, 10),))
    for answer, iou in ((np.ones(10, bool), np.ones(10)), (np.ones(11, bool), np.ones(10))):
        with pytest.raises(SettingsError, match="do not fit"):
            score_time(query, answer, iou)
    with pytest.raises(SettingsError, match="no mask"):
        summarise_masks([])


def test_masks_in_closed_form():
    truth, answer = np.zeros((4, 5), bool), np.zeros((4, 5), bool)
    truth[:2], answer[1:3] = True, True
    score = score_mask("f", "mug", answer, truth)
    assert (score.iou, score.accuracy) == pytest.approx((1 / 3, 0.5))


def test_things_count_once_however_many_frames_they_have():
    scores = [MaskScore("a", "mug", 1.0, 1.0)] * 3 + [MaskScore("a", "hat", 0.0, 0.5)]
    assert summarise_masks(scores) == {"mIoU": 0.5, "mAcc": 0.75}


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_smoothing_keeps_what_is_flat_or_near_an_end(reach):
    rng = np.random.default_rng(reach)
    noise = rng.normal(size=12)
    assert smooth_over_time(np.full(12, 0.3), reach) == pytest.approx(np.full(12, 0.3))
    smooth = smooth_over_time(noise, reach)
    assert smooth[:reach].tolist() == noise[:reach].tolist()
    weights = {0: [1.0], 1: [0.1, 0.8, 0.1], 2: [0.1, 0.2, 0.4, 0.2, 0.1]}[reach]
    for i in range(reach, 12 - reach):
        assert smooth[i] == pytest.approx(sum(w * noise[i + k - reach] for k, w in enumerate(weights)))
    assert smooth_over_time(noise[: 2 * reach], reach).tolist() == noise[: 2 * reach].tolist()


@settings(max_examples=cases(40), deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=40))
def test_the_mean_rule_is_never_silent_without_smoothing(values):
    assert mean_rule(np.array(values), 0).any()
