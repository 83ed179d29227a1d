"""Every claim that is said to reproduce does, by its margin, for three seeds; measured once, a claim is not again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langfield.errors import SettingsError
from langfield.suite.effects import METHODS
from langfield.suite.effects.measure import Job, jobs, measure
from langfield.suite.effects.types import SEEDS, Effect, verdict
from langfield.suite.families import built

PAGE = Path(__file__).parents[3] / "docs" / "measurements" / "suite_effects.json"
SLOW = {"long-clip": 1, "clip-svd": 2, "coop": 2}
"""Methods whose training is long: so many seeds are measured here; all of them are in the kept table."""
ASKED = [
    pytest.param(job.effect, seed, id=f"{job.method}-{number}-{seed}")
    for number, job in enumerate(jobs())
    if job.effect.least is not None
    for seed in SEEDS[: SLOW.get(job.method, len(SEEDS))]
]


@pytest.mark.parametrize(("effect", "seed"), ASKED)
def test_the_claim_holds_by_its_margin(effect: Effect, seed: int):
    assert effect.least is not None
    before, after = effect.measured(seed)
    assert after - before > effect.least, effect.claim


def test_something_is_claimed_of_every_method_that_is_built():
    assert set(METHODS) == set(built())
    assert all(job.effect.claim and job.effect.ground and job.effect.measure for job in jobs())
    for name in METHODS:
        assert any(job.effect.least is not None for job in jobs([name])), name


def test_the_kept_table_has_all_claims_and_says_what_its_numbers_say():
    rows = {(row["method"], row["claim"]): row for row in json.loads(PAGE.read_text())["effects"]}
    assert set(rows) == {(job.method, job.effect.claim) for job in jobs()}
    for job in jobs():
        row = rows[job.method, job.effect.claim]
        assert sorted(row["seeds"]) == [str(seed) for seed in SEEDS]
        gains = {int(seed): after - before for seed, (before, after) in row["seeds"].items()}
        assert row["reproduced"] == verdict(job.effect.least, gains)
        assert (row["reproduced"] == "yes") == (job.effect.least is not None), job.effect.claim


@pytest.mark.parametrize(
    ("least", "gains", "expected"),
    [
        (0.1, (0.2, 0.3, 0.11), "yes"),
        (0.1, (0.2, 0.3, 0.1), "weakly"),
        (0.1, (-0.2, 0.1, 0.05), "no"),
        (None, (0.2, 0.3, 0.4), "no"),
        (0.1, (), "no"),
    ],
)
def test_a_verdict_is_that_of_all_seeds(least, gains, expected):
    assert verdict(least, dict(enumerate(gains))) == expected


def made(calls: list[int]) -> Job:
    def measured(seed: int) -> tuple[float, float]:
        calls.append(seed)
        return 0.25, 0.5 + seed

    return Job("x", Effect("a claim", "made", "number", 0.1, measured), "key")


def test_what_was_measured_by_the_same_code_is_kept_seed_by_seed():
    calls, tables = list[int](), []
    rows = measure([made(calls)], [], tables.append)
    assert calls == [0, 1, 2]
    assert [len(table[0]["seeds"]) for table in tables] == [1, 2, 3]
    assert rows[0]["seeds"] == {"0": [0.25, 0.5], "1": [0.25, 1.5], "2": [0.25, 2.5]}
    assert (rows[0]["gain"], rows[0]["reproduced"]) == (1.25, "yes")
    again = measure([made(calls)], tables[1], tables.append)
    assert calls == [0, 1, 2, 2], "two seeds were kept"
    assert again == rows
    stale = [row | {"key": "other"} for row in rows]
    measure([made(calls)], stale, tables.append)
    assert calls == [0, 1, 2, 2, 0, 1, 2]


def test_nothing_is_claimed_of_what_is_not_built():
    with pytest.raises(SettingsError, match="no effect of 'mustafar'"):
        jobs(["mustafar"])
