"""Checkpoints from model hubs: pinned, https only, and quick to say that there is no network."""

from __future__ import annotations

import time

import pytest

from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.weights import hub


def test_offline_is_said_within_seconds(tmp_path):
    start = time.monotonic()
    with pytest.raises((EnvironmentProblem, RuntimeError), match=r"cannot be reached|socket"):
        hub.get_checkpoint("sam:vit_b", tmp_path)
    assert time.monotonic() - start < 10


def test_only_known_https_addresses():
    assert all(row.url.startswith("https://") and len(row.sha256) == 64 for row in hub.CHECKPOINTS)
    with pytest.raises(SettingsError, match="choose one of: sam:vit_h"):
        hub.checkpoint("sam:vit_x")
    with pytest.raises(SettingsError, match="only https"):
        hub.require_https("http://example.org/a")


def test_a_cut_checkpoint_is_said(tmp_path):
    path = hub.checkpoint_path("sam:vit_b", tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abc")
    with pytest.raises(FormatError, match="cut short: 3 of 375042383 bytes"):
        hub.require_checkpoint("sam:vit_b", tmp_path)
