"""What `bench online` compares: on a small walk whose features are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from langfield.commands.bench_online import as_table, bench_online
from langfield.commands.bench_options import OnlineBench
from langfield.commands.online_bench.offline import against_offline
from langfield.commands.online_bench.questions import Questioner
from langfield.errors import SettingsError
from langfield.online.mapping_settings import MappingSettings
from langfield.online.session import Online
from langfield.online.start import start
from langfield.online.types import OnlineSettings
from langfield.run import open_run
from tests.online.known import NAMES, KnownFeatures, Words
from tests.online.room import loop

SETTINGS = OnlineSettings(poses="given", side_px=64, mapping=MappingSettings(steps=4, first_steps=15))


@pytest.fixture(scope="module")
def walked(tmp_path_factory) -> tuple[Online, Questioner]:
    frames = loop(11, 64, 48, 0.2)
    features = KnownFeatures()
    features.know(frames)
    session = start(tmp_path_factory.mktemp("walk") / "run", SETTINGS, features)
    session.asker = type(session.asker)(Words())
    with Questioner(session, NAMES, 0.0) as asked:
        for frame in frames:
            session.add_frame(frame)
    session.finish()
    return session, asked


def test_questions_are_answered_while_frames_come_in(walked):
    found = walked[1].summary()
    assert found["answered"] == len(walked[1].ms) > 0
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= max(walked[1].ms) + 0.1


def test_what_was_added_up_is_what_offline_lifting_adds_up_and_one_look_taken_twice_is_noticed(walked):
    session, _ = walked
    run = open_run(session.folder.path)
    same = against_offline(run, session, SETTINGS)
    assert same["sums_equal"]
    assert same["things_equal"]
    assert (same["codes_differ"], same["views"]) == (0, 3)
    assert session.teacher is not None
    looks = session.teacher.language.looks  # type: ignore[attr-defined]
    key, look = next(iter(looks.items()))
    looks[key] = replace(look, sums=look.sums + look.sums)
    try:
        assert not against_offline(run, session, SETTINGS)["sums_equal"]
    finally:
        looks[key] = look


def test_a_table_has_a_row_a_case_and_says_what_is_not_equal():
    case = {
        "truth": {"path": None, "frames": {"depth_l1": 0.01, "psnr_db": 30.0}}, "scores": {}, "frames_per_s": 2.0,
        "stages": {}, "questions": {"p95_ms": None}, "ours_s_a_keyframe": 2.0, "langsplat": {"s_a_keyframe": 100.0},
        "offline": {"sums_equal": True, "codes_differ": 1, "views": 3},
    }  # fmt: skip
    table = as_table({"given": case})
    assert table.splitlines()[2] == "| given |  |  | 1.00 | 30.0 |  |  |  | 2.00 |  |  |"
    assert "NOT equal" in table
    assert "50 x" in table


def test_sizes_that_make_no_sense_or_are_of_another_report_are_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="two frames"):
        bench_online(tmp_path, OnlineBench(frames=1), tmp_path)
    (tmp_path / "report.json").write_text('{"sizes": {}, "cases": {}}')
    with pytest.raises(SettingsError, match="another walk"):
        bench_online(tmp_path, OnlineBench(), tmp_path)
