"""AUROC against counting pairs, its interval, and what may not be scored."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import QueryError
from langfield.evaluate.absent import ABSENT_NAMES
from langfield.evaluate.absent_eval import as_text, auroc, auroc_interval, evaluate_absent, peak_relevancy
from tests.blobs import Words
from tests.evaluate.scored import blob_field

numbers = st.lists(st.integers(-3, 3), min_size=1, max_size=12).map(lambda v: np.array(v, float))


@settings(deadline=None)
@given(numbers, numbers)
def test_auroc_against_pair_counting(high, low):
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in high for b in low]
    assert auroc(high, low) == pytest.approx(np.mean(pairs))
    assert auroc(low, high) == pytest.approx(1 - np.mean(pairs))


@settings(deadline=None)
@given(numbers, numbers)
def test_auroc_knows_ranks_only(high, low):
    assert auroc(np.exp(high), np.exp(low)) == pytest.approx(auroc(high, low))


def test_interval_against_a_loop():
    draw = np.random.default_rng(4)
    high, low = draw.normal(1, 1, 20), draw.normal(0, 1, 30)
    means = [auroc(draw.choice(high, 20), draw.choice(low, 30)) for _ in range(3000)]
    assert auroc_interval(high, low) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.02)
    assert auroc_interval(high, low, seed=3) == auroc_interval(high, low, seed=3)
    assert auroc_interval(np.ones(3), np.zeros(4)) == (1.0, 1.0)


def test_labelled_names_are_not_absent_and_doubles_count_once():
    asked = []

    def scoring(names):
        asked.extend(names)
        return np.array([1.0 if n in ("mug", "truck") else 0.25 for n in names])

    report = evaluate_absent(scoring, "made up", ["mug", "truck", "mug"])
    assert "truck" in ABSENT_NAMES
    assert len(asked) == len(set(asked)) == len(ABSENT_NAMES) + 1
    assert report.auroc == 1.0
    assert list(report.present) == ["mug", "truck"]
    assert "truck" not in report.absent
    assert "1.000" in as_text(report)


def test_peak_relevancy_tells_blobs_from_what_is_not_there():
    report = evaluate_absent(peak_relevancy(blob_field(), Words()), "peak relevancy", ["ball", "cube"])
    assert report.auroc == 1.0
    assert min(report.present.values()) > 0.9
    assert max(report.absent.values()) <= 0.5


@pytest.mark.parametrize(
    ("present", "absent", "values"), [([], ["b"], 0), (["a"], ["a"], 0), (["a"], ["b"], np.nan), (["a"], ["b"], None)]
)
def test_what_cannot_be_compared_is_refused(present, absent, values):
    def scoring(names):
        return np.zeros(7) if values is None else np.full(len(names), float(values))

    with pytest.raises(QueryError):
        evaluate_absent(scoring, "made up", present, absent)
