"""A resumed `langfield online` goes on with what was asked of the stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from langfield.artefacts import write_json
from langfield.commands.online import ASKED, OnlineOptions, as_before
from langfield.errors import FormatError


def test_what_was_asked_for_counts_where_nothing_else_is_said(tmp_path: Path):
    write_json(tmp_path / ASKED, {"max_frames": 90, "every": 2, "camera": "fr1", "quick": False})
    again = as_before(OnlineOptions(resume=tmp_path, every=3))
    assert again == OnlineOptions(resume=tmp_path, max_frames=90, every=3, camera="fr1", quick=False)


def test_a_new_run_and_one_that_says_nothing_stay_as_they_are(tmp_path: Path):
    for options in (OnlineOptions(), OnlineOptions(resume=tmp_path, max_frames=5)):
        assert as_before(options) == options


def test_what_is_not_readable_is_said(tmp_path: Path):
    write_json(tmp_path / ASKED, {"max_frames": "many"})
    with pytest.raises(FormatError, match="max_frames"):
        as_before(OnlineOptions(resume=tmp_path))
