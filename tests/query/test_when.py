"""Scores over time to intervals: closed forms, a naive twin of the cut, and questions that are never so."""

import itertools
import json

import numpy as np
import pytest

from langfield.errors import QueryError
from langfield.query.when import PAPER_WEIGHTS, WhenSettings, best_split, runs, share_below, smooth, split, steady, when

TIMES = np.arange(40) / 10
PLAIN = WhenSettings(weights=(1.0,))


def square(first: int, last: int, low: float = 0.5, high: float = 0.8) -> np.ndarray:
    out = np.full(40, low)
    out[first:last] = high
    return out


def unrelated(count: int = 60, seed: int = 0, spread: float = 0.01) -> np.ndarray:
    """Sentences about something else: levels of their own, changes of no consequence."""
    rng = np.random.default_rng(seed)
    return 0.45 + 0.05 * rng.standard_normal((count, 1)) + spread * rng.standard_normal((count, 40))


def test_a_square_wave_comes_back_exactly():
    scores = np.maximum(square(5, 12), square(25, 31))
    for settings in (PLAIN, WhenSettings()):
        found = when(TIMES, scores, unrelated(), settings)
        assert found.verdict == "found"
        assert [(i.first_s, i.last_s) for i in found.intervals] == [(0.5, 1.1), (2.5, 3.0)]
        assert np.array_equal(found.active, scores > 0.6)
    plain = when(TIMES, scores, unrelated(), PLAIN)
    assert plain.threshold == pytest.approx(0.65)
    assert all(i.confidence == pytest.approx(plain.score) for i in plain.intervals)


def test_one_wrong_time_is_noise_and_a_weak_stretch_is_less_sure():
    scores = square(10, 25)
    scores[17], scores[33] = 0.5, 0.8
    found = when(TIMES, scores, unrelated(), PLAIN)
    assert [(i.first_s, i.last_s) for i in found.intervals] == [(1.0, 2.4)]
    scores[33:37] = 0.68
    strong, weak = when(TIMES, scores, unrelated(), PLAIN).intervals
    assert weak.confidence < 0.8 * strong.confidence


def test_what_is_never_so_is_answered_with_never_where_the_paper_answers_with_half_the_video():
    wrong = 0
    for seed in range(50):
        other = unrelated(seed=seed)
        question = unrelated(1, seed=1000 + seed)[0]
        wrong += when(TIMES, question, other).verdict == "found"
        paper = when(TIMES, question, other, WhenSettings(rule="mean", weights=PAPER_WEIGHTS))
        assert paper.verdict == "found"
        assert 0.2 < paper.active.mean() < 0.8
    assert wrong <= 5
    never = when(TIMES, unrelated(1, 7, 0.05)[0], unrelated(60, 8, 0.05))
    assert never.verdict != "found"
    assert not never.active.any() or never.verdict == "unsure"
    assert when(TIMES, np.full(40, 0.5)).verdict == "never"


def test_what_is_always_so_is_found_by_its_level():
    found = when(TIMES, np.full(40, 0.8), unrelated())
    assert found.verdict == "found"
    assert [(i.first_s, i.last_s) for i in found.intervals] == [(0.0, 3.9)]
    assert when(TIMES, np.full(40, 0.45), unrelated()).verdict == "never"


def test_the_mean_rule_is_the_papers():
    scores = np.random.default_rng(1).random(40)
    found = when(TIMES, scores, None, WhenSettings(rule="mean", weights=PAPER_WEIGHTS))
    curve = np.array([
        sum(w * scores[t + d] for d, w in ((-1, 0.1), (0, 0.8), (1, 0.1)) if 0 <= t + d < 40)
        / sum(w for d, w in ((-1, 0.1), (0, 0.8), (1, 0.1)) if 0 <= t + d < 40)
        for t in range(40)
    ])  # fmt: skip
    np.testing.assert_allclose(smooth(scores, PAPER_WEIGHTS), curve)
    assert np.array_equal(found.active, curve > curve.mean())


def test_the_cut_is_the_best_of_all_cuts():
    rng = np.random.default_rng(2)
    for _ in range(20):
        scores = rng.random(12)
        rising = np.sort(scores)
        costs = [rising[:k].var() * k + rising[k:].var() * (12 - k) for k in range(1, 12)]
        k = int(np.argmin(costs)) + 1
        threshold, share, rise = split(scores)
        assert threshold == pytest.approx((rising[:k].mean() + rising[k:].mean()) / 2)
        assert rise == pytest.approx(rising[k:].mean() - rising[:k].mean())
        assert share == pytest.approx(1 - min(costs) / (12 * scores.var()))
    assert split(np.ones(5))[1:] == (0, 0)


def test_steady_leaves_no_short_stretch_and_keeps_long_ones():
    for bits in itertools.product((False, True), repeat=9):
        out = steady(np.array(bits), 2)
        assert all(last - first >= 2 for first, last, _ in runs(out))
        if all(last - first >= 2 for first, last, _ in runs(np.array(bits))):
            assert np.array_equal(out, bits)


def test_shifted_times_shift_the_answer_and_times_without_the_thing_are_not_active():
    scores = square(10, 25)
    scores[15:18] = np.nan
    found = when(TIMES, scores, unrelated(), PLAIN)
    assert not found.active[15:18].any()
    assert [(i.first_s, i.last_s) for i in found.intervals] == [(1.0, 1.4), (1.8, 2.4)]
    moved = when(TIMES + 7, scores, unrelated(), PLAIN)
    assert [i.first_s for i in moved.intervals] == pytest.approx([i.first_s + 7 for i in found.intervals])
    assert json.loads(json.dumps(found.to_json()))["intervals"][0]["last_s"] == 1.4


def test_share_below_is_not_stretched_by_those_that_are_true():
    rng = np.random.default_rng(3)
    others = rng.standard_normal(4000)
    assert share_below(1.0, others) == pytest.approx(0.841, abs=0.02)
    others[:400] = 30
    assert share_below(1.0, others) > 0.75  # mean and deviation would say 0.42


def test_what_does_not_fit_is_refused():
    for times, scores, others in (
        (TIMES[:3], square(1, 4), None), (TIMES, square(1, 4), np.zeros((3, 5))), (TIMES * 0, square(1, 4), None),
        (TIMES, np.full(40, np.nan), None),
    ):  # fmt: skip
        with pytest.raises(QueryError):
            when(times, scores, others)
    for settings in (WhenSettings(weights=(0.5, 0.5)), WhenSettings(weights=(0.0,))):
        with pytest.raises(QueryError, match="odd"):
            when(TIMES, square(1, 4), None, settings)


def test_the_best_split_is_always_given_and_never_sure():
    scores = 0.5 + 1e-4 * square(10, 25)
    assert when(TIMES, scores).verdict == "never"
    guess = best_split(TIMES, scores, PLAIN)
    assert guess.verdict == "unsure"
    assert [(i.first_s, i.last_s) for i in guess.intervals] == [(1.0, 2.4)]
    assert not best_split(TIMES, np.full(40, 0.5), PLAIN).active.any()
