"""Published tables: their means are the means of their cells, where papers print both; ours are in per cent."""

import numpy as np
import pytest

from langfield.evaluate.benchmarks import BENCHMARKS, make_table, table_text
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.published import MEAN, PUBLISHED
from langfield.evaluate.report import summarise
from tests.evaluate.test_report import score

ROWS = [(name, row) for name, table in PUBLISHED.items() for row in table.rows]
PRINTED_OTHERWISE = {("lerf-ovs-2d", "VALA", 1)}
"""The localisation that VALA prints is not the mean of its cells; its note says so."""


@pytest.mark.parametrize(("name", "row"), ROWS, ids=lambda v: getattr(v, "method", v))
def test_means_follow_from_cells(name, row):
    scenes = [cell for scene, cell in row.cells.items() if scene != MEAN]
    assert all(len(cell) == len(PUBLISHED[name].metrics) for cell in row.cells.values())
    assert 0 < min(map(min, row.cells.values())) <= max(map(max, row.cells.values())) <= 100
    for i in range(len(PUBLISHED[name].metrics) if scenes else 0):
        if (name, row.method, i) not in PRINTED_OTHERWISE:
            assert np.mean([cell[i] for cell in scenes]) == pytest.approx(row.cells[MEAN][i], abs=0.11)


def test_every_benchmark_has_its_tables():
    for benchmark in BENCHMARKS.values():
        for name in benchmark.protocols:
            assert set(PUBLISHED[name].metrics) <= set(PROTOCOLS[name].metrics)
            assert any(set(benchmark.scenes) <= set(row.cells) for row in PUBLISHED[name].rows)


def test_our_mean_is_over_scenes_not_queries():
    rules = PROTOCOLS["lerf-ovs-2d"]
    scenes = BENCHMARKS["lerf-ovs"].scenes
    ours = {name: summarise(rules, [score(True, 0.2 * i)] * (i + 1), "field") for i, name in enumerate(scenes)}
    table = make_table("lerf-ovs-2d", scenes, ours)
    assert table[0]["cells"]["mean"] == pytest.approx((30.0, 100.0))  # pyright: ignore
    assert "30.0 / 100.0   this run" in table_text("lerf-ovs-2d", scenes, ours)
