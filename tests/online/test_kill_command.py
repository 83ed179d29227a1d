"""`langfield online` killed at a random moment and resumed ends in the field of an undisturbed run.

Fields are equal to the bit: Gaussians, codes, reliability, things and their segments, and so is the camera's path. What
may differ: ids of things (older keyframes are renewed as time allows, and an id follows what was known when a thing was
matched), seconds in the manifest.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest
import torch

from langfield.artefacts import read_json
from langfield.run import Run, open_run
from tests.online.commanding import begun, heard, recorded_room
from tests.series import cases

COUNT = cases(11, 21)
LANGUAGE = "none" if cases(1, 20) == 1 else "lift"
"""With language in the full series: its models take their time."""
HOW = ("--language", LANGUAGE, "--poses", "tracked")


def finished(process) -> None:
    _, wrong = process.communicate()
    assert process.returncode == 0, wrong


def run_of(out: Path) -> Path | None:
    """Give the folder of the only run below `out`, if it has a manifest."""
    found = list(out.glob("room/online/*/manifest.json"))
    assert len(found) <= 1
    return found[0].parent if found else None


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Path:
    return recorded_room(tmp_path_factory.mktemp("stream") / "room", COUNT, COUNT / 130)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, room) -> tuple[Run, float]:
    """The undisturbed run, and the seconds from its beginning to its end."""
    out = tmp_path_factory.mktemp("whole")
    process = begun(room, "--out", out, *HOW)
    heard(process, "the run is")
    start = time.monotonic()
    finished(process)
    folder = run_of(out)
    assert folder is not None
    return open_run(folder), time.monotonic() - start


@pytest.mark.parametrize("seed", range(cases(1, 20)))
def test_a_killed_command_ends_in_the_same_field(tmp_path, room, whole, seed, record_property):
    undisturbed, seconds = whole
    process = begun(room, "--out", tmp_path, *HOW)
    heard(process, "the run is")
    time.sleep(Random(seed).uniform(0.0, seconds))  # where it is by then does not matter
    process.kill()
    process.communicate()
    folder = run_of(tmp_path)
    assert folder is not None
    state = read_json(folder / "manifest.json")["state"]
    kept = len(list((folder / "frames").glob("*"))) if (folder / "frames").is_dir() else 0
    record_property("killed", {"state": state, "keyframes": kept})
    if state != "finished":
        finished(begun("--resume", folder))
    run = open_run(folder)
    assert run.training_names == undisturbed.training_names
    assert (folder / "trajectory.txt").read_bytes() == (undisturbed.path / "trajectory.txt").read_bytes()
    mine, theirs = run.field, undisturbed.field
    pairs = [*zip(mine.gaussians.tensors(), theirs.gaussians.tensors(), strict=True)]
    assert (mine.codes is None) == (LANGUAGE == "none")
    if mine.codes is not None and mine.instances is not None:
        assert theirs.codes is not None
        assert theirs.instances is not None
        other = theirs.instances.tensors()
        pairs += [(mine.codes, theirs.codes), (mine.reliability, theirs.reliability)]
        pairs += [(t, other[name]) for name, t in mine.instances.tensors().items() if name != "ids"]
    assert all(torch.equal(a, b) for a, b in pairs)
