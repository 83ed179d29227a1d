"""`langfield online --listen`, from a sender's first frame to a question to the run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

import langfield
from langfield.errors import EnvironmentProblem
from langfield.online.features import quick_settings
from langfield.online.socket import send_frames
from langfield.query.answer import Verdict
from langfield.run import open_run
from langfield.stages import needed_weights
from langfield.weights import require
from tests.online.commanding import Listed, begun, heard
from tests.online.room import loop

COUNT = 4


def test_frames_of_another_program_become_a_field_that_is_asked(tmp_path: Path):
    try:
        for name in needed_weights(quick_settings()):
            require(name)
    except EnvironmentProblem as problem:
        pytest.skip(f"weights are not on this machine: {problem}")
    process = begun("--listen", 0, "--out", tmp_path, "--poses", "given", "--json")
    try:
        line = heard(process, "waiting for frames")
        found = re.search(r"\('(.+)', (\d+)\), token (\S+)", line)
        assert found is not None, line
        address, token = (found[1], int(found[2])), found[3]
        stream = Listed(loop(COUNT, 64, 48, 0.05))
        with pytest.raises(EnvironmentProblem):
            send_frames(address, token[::-1], stream)
        assert send_frames(address, token, stream) == (COUNT, [])
        said, wrong = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, wrong
    report = json.loads(said)
    assert report["outcomes"] == {"keyframe": 1, "tracked": COUNT - 1}
    assert report["truth"] is None  # the stream cannot be read again
    run = open_run(Path(report["run"]))
    assert run.path.is_relative_to(tmp_path / "socket" / "online")
    assert run.training_names == {"frame_0000.png"}
    assert len(run.field.gaussians) == report["gaussians"]
    scene = langfield.load(run.path)
    answer = scene.ask("a table")
    assert answer.view == "frame_0000.png"
    assert answer.mask.shape == (48, 64)
    assert answer.verdict in get_args(Verdict)
    assert answer.instance is not None
