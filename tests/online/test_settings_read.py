"""Settings come back from JSON as they were, and other data is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from langfield.artefacts import plain
from langfield.errors import FormatError
from langfield.online.settings_read import read_settings
from langfield.online.types import Caps, OnlineSettings
from langfield.segment.types import SegmentSettings
from langfield.settings import RunSettings

HERE = Path("manifest.json")


@pytest.mark.parametrize(
    "settings",
    [
        OnlineSettings(),
        replace(OnlineSettings(), poses="given", caps=Caps(7, 8, 9), freshen_s=1.0, seed=3),
        RunSettings(),
        RunSettings(max_views=5, language_features=Path("a/b"), redo=("codec",), segment=SegmentSettings(8)),
    ],
)
def test_settings_come_back(settings):
    assert read_settings(type(settings), json.loads(json.dumps(plain(settings))), HERE) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("poses", "guessed"), ("side_px", 3.5), ("side_px", True), ("caps", []), ("caps", {"max_keyframes": "7"})],
)
def test_other_data_is_refused_by_name(name, value):
    with pytest.raises(FormatError, match=name):
        read_settings(OnlineSettings, {name: value}, HERE)


def test_what_an_older_program_did_not_know_takes_its_default():
    assert read_settings(OnlineSettings, {"seed": 7}, HERE) == OnlineSettings(seed=7)
