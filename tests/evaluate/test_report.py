"""Means, intervals and the table, against loops and known values."""

import csv
import dataclasses
import io
import json

import numpy as np
import pytest

from langfield.errors import FormatError
from langfield.evaluate.intervals import bootstrap_interval, wilson_interval
from langfield.evaluate.labels import Query
from langfield.evaluate.langsplat2d import Score
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.report import as_csv, as_text, query_rows, summarise, write_report
from langfield.evaluate.types import Losses

RULES = PROTOCOLS["lerf-ovs-2d"]
EMPTY = np.zeros((2, 2), np.float32)


def score(hit: bool, iou: float, text: str = "mug", frame: str = "a.png") -> Score:
    asked = Query(frame, text, (np.array([[0.0, 0], [4, 0], [4, 3]]),))
    return Score(asked, hit, (3, 1), 0.61, 0, iou, 2, EMPTY > 1, EMPTY)


def test_wilson_known_values():
    """Newcombe 1998, Table I: 81/263 gives 0.2553 to 0.3662; 0/20 gives 0 to 0.1611."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == 1.0


def test_bootstrap_against_a_loop():
    rng = np.random.default_rng(3)
    values, groups = rng.random(30), [f"g{i % 7}" for i in range(30)]
    means = []
    for _ in range(4000):
        drawn = rng.integers(0, 7, size=7)
        rows = [i for g in drawn for i in range(30) if groups[i] == f"g{g}"]
        means.append(values[rows].mean())
    assert bootstrap_interval(values, groups) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.015)


def test_bootstrap_repeats_itself_and_widens_over_names():
    values = np.repeat([0.0, 1.0, 1.0, 0.0], 10)
    names = np.repeat(list("abcd"), 10).tolist()
    over_queries = bootstrap_interval(values, range(40), seed=5)
    assert over_queries == bootstrap_interval(values, range(40), seed=5)
    over_names = bootstrap_interval(values, names, seed=5)
    assert over_names[1] - over_names[0] > 2 * (over_queries[1] - over_queries[0])
    assert bootstrap_interval(np.ones(4), range(4)) == (1.0, 1.0)


def test_summary_and_text():
    scores = [score(True, 0.5), score(False, 0.1, "lamp"), score(True, 0.9, frame="b.png")]
    summary = summarise(RULES, scores, "field", ("labelled frame c is not in the capture",))
    assert summary.value("localisation") == pytest.approx(2 / 3)
    assert summary.value("mIoU") == pytest.approx(0.5)
    assert (summary.queries, summary.names) == (3, 2)
    assert summary.metrics["localisation"].wilson == wilson_interval(2, 3)
    assert summary.metrics["mIoU"].wilson is None
    text = as_text(summary)
    assert "protocol lerf-ovs-2d, version 1, 3 queries, 2 names" in text
    assert "0.667" in text
    assert "note: labelled frame c" in text
    with pytest.raises(FormatError, match="nothing was scored"):
        summarise(RULES, [], "field")


def test_losses_and_answer_add_up_to_one_and_stand_beside_their_query():
    scores = [score(True, 0.5), score(False, 0.1, "lamp")]
    losses = [Losses("a.png", "lamp", best=0.8, chosen=0.3, answer=0.1)]
    summary = summarise(RULES, scores, "field", losses=losses)
    assert sum(m.value for m in summary.losses.values()) + 0.1 == pytest.approx(1)
    rows = query_rows(scores, losses)
    assert "lost_choice" not in rows[0]
    assert (rows[1]["lost_choice"], rows[1]["best_mask"], rows[1]["lost_lifting"]) == (0.5, 0.8, 0.2)
    assert "lost to choice" in as_text(summary)


def test_table_survives_odd_names(tmp_path):
    scores = [score(True, 0.5, 'a "red", mug\n'), dataclasses.replace(score(False, 1 / 3), peak_px=(7, 8))]
    rows = list(csv.DictReader(io.StringIO(as_csv(scores))))
    assert rows[0]["label"] == 'a "red", mug\n'
    assert [r["localisation"] for r in rows] == ["1.0", "0.0"]
    assert rows[1]["mIoU"] == "0.3333"
    assert (rows[1]["peak_x"], rows[1]["peak_y"]) == ("7", "8")
    assert rows[0]["boxes"] == "0,0,4,3"
    assert (rows[0]["level"], rows[0]["mask_level"]) == ("subpart", "whole")
    write_report(tmp_path, scores, summarise(RULES, scores, "field"))
    data = json.loads((tmp_path / "summary.json").read_text())
    assert np.mean([float(r["mIoU"]) for r in rows]) == pytest.approx(data["metrics"]["mIoU"]["value"], abs=1e-4)
    assert (data["protocol"], data["protocol_version"]) == ("lerf-ovs-2d", 1)
    assert (tmp_path / "queries.csv").exists()
