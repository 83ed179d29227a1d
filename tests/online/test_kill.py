"""Killed at any moment, a session goes on from its last keyframe to the map it would have made."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import torch

from langfield.artefacts import read_json
from langfield.run import Run, open_run
from tests.online.walker import COUNT, main
from tests.series import cases

ROOT = Path(__file__).parents[2]


def walk(folder: Path, seconds: float | None) -> list[str]:
    """Let a process map; kill it so many seconds after its first frame. Gives what it said."""
    command = [sys.executable, "-m", "tests.online.walker", str(folder)]
    # unbuffered: what readline reads ahead, communicate would not see
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    first = process.stdout.readline()
    if seconds is not None:
        time.sleep(seconds)
        process.kill()
    rest, wrong = process.communicate()
    assert seconds is not None or process.returncode == 0, wrong
    return (first + rest).decode().splitlines()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("whole") / "run"
    main(folder)
    return open_run(folder)


@pytest.mark.parametrize("seed", range(cases(1, 20)))
def test_a_killed_session_ends_in_the_same_map(tmp_path, whole, seed):
    folder = tmp_path / "run"
    said = walk(folder, Random(seed).uniform(0.0, 1.5))
    assert said[0].startswith("0 keyframe")
    if read_json(folder / "manifest.json")["state"] != "finished":
        assert len(walk(folder, None)) == COUNT
    run = open_run(folder)
    assert run.training_names == whole.training_names
    for a, b in zip(run.field.gaussians.tensors(), whole.field.gaussians.tensors(), strict=True):
        assert torch.equal(a, b)
    assert run.field.codes is not None
    assert whole.field.codes is not None
    assert torch.equal(run.field.codes, whole.field.codes)
