"""Selections on disk: they come back as they were, damage is said and never believed, a kill leaves old or new."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError, LangfieldError
from langfield.viewer.keep import (
    FOLDER,
    file_name,
    forget_selection,
    inside,
    load_selection,
    load_selections,
    save_selection,
    scene_key,
)
from langfield.viewer.rows import frozen
from tests.series import cases
from tests.viewer.scene import balls

COUNT = 300
KEY = "k" * 32
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80).filter(
    lambda name: name.isprintable() and name.strip() == name
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, st.sets(st.integers(0, COUNT - 1)).map(frozen), max_size=4))
def test_what_is_kept_comes_back(tmp_path: Path, kept: dict[str, np.ndarray]):
    for old in tmp_path.glob(f"{FOLDER}/*"):
        old.unlink()
    for name, rows in kept.items():
        path = save_selection(tmp_path, name, rows, KEY, COUNT)
        assert path.parent == tmp_path / FOLDER
    found, problems = load_selections(tmp_path, KEY, COUNT)
    assert not problems
    assert set(found) == set(kept)
    assert all(np.array_equal(found[name], rows) for name, rows in kept.items())
    for name in kept:
        forget_selection(tmp_path, name)
    assert load_selections(tmp_path, KEY, COUNT) == ({}, [])


@given(st.text(max_size=200))
def test_no_name_leads_out_of_the_folder(name: str):
    path = Path("run") / FOLDER / file_name(name)
    assert len(path.parts) == 3
    assert path.name.isascii()
    assert not path.name.startswith(".")
    assert len(path.name) < 80
    assert (file_name(name) == file_name("other")) == (name == "other")


def test_a_link_out_of_the_run_is_not_followed(tmp_path: Path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run.mkdir()
    elsewhere.mkdir()
    (run / FOLDER).symlink_to(elsewhere)
    with pytest.raises(LangfieldError, match="leaves the run"):
        save_selection(run, "a", frozen([1]), KEY, COUNT)
    with pytest.raises(LangfieldError, match="leaves the run"):
        inside(run, "..", "x")
    assert not list(elsewhere.iterdir())


def test_another_scene_is_told_apart(tmp_path: Path):
    path = save_selection(tmp_path, "a", frozen([5]), KEY, COUNT)
    for key, count in (("x" * 32, COUNT), (KEY, COUNT + 1)):
        with pytest.raises(FormatError, match="other Gaussians"):
            load_selection(path, key, count)
    gaussians, _ = balls(20, 20)
    key = scene_key(gaussians)
    assert key == scene_key(balls(20, 20)[0])
    gaussians.means[3, 0] += 1e-3
    assert key != scene_key(gaussians)


def handmade(about: object, tensors: dict, payload: bytes) -> bytes:
    header = json.dumps({"__metadata__": {"about": json.dumps(about)}, **tensors}).encode()
    return struct.pack("<Q", len(header)) + header + payload


ABOUT = {"format": "langfield selection", "version": 1, "name": "a", "scene": KEY, "count": COUNT}
ROWS = {"rows": {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    ("about", "tensors", "payload", "sentence"),
    [
        (ABOUT, ROWS, struct.pack("<2i", 7, 3), "rise"),
        (ABOUT, ROWS, struct.pack("<2i", -7, 3), "rise"),
        (ABOUT, ROWS, struct.pack("<2i", 7, COUNT), "rise"),
        (ABOUT, {"rows": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, bytes(8), "list of rows"),
        (ABOUT, {"other": ROWS["rows"]}, bytes(8), "list of rows"),
        ({**ABOUT, "name": "x" * 81}, ROWS, struct.pack("<2i", 1, 2), "name"),
        ({**ABOUT, "name": ["a"]}, ROWS, struct.pack("<2i", 1, 2), "name"),
        ({**ABOUT, "version": 2}, ROWS, struct.pack("<2i", 1, 2), "version"),
        ([], ROWS, struct.pack("<2i", 1, 2), "JSON object|version"),
        (ABOUT, {"rows": {"dtype": "I32", "shape": [2**40], "data_offsets": [0, 2**42]}}, bytes(8), "safetensors"),
    ],
)
def test_each_kind_of_lie_is_said(tmp_path: Path, about: object, tensors: dict, payload: bytes, sentence: str):
    path = tmp_path / "a.safetensors"
    path.write_bytes(handmade(about, tensors, payload))
    with pytest.raises(FormatError, match=sentence):
        load_selection(path, KEY, COUNT)


def test_damage_anywhere_is_a_sentence_or_the_truth(tmp_path: Path):
    rows = frozen(range(0, COUNT, 7))
    whole = save_selection(tmp_path, "thing", rows, KEY, COUNT).read_bytes()
    path, dice = tmp_path / "hurt.safetensors", random.Random(0)
    for _ in range(cases(400, 10_000)):
        data = bytearray(whole)
        match dice.randrange(3):
            case 0:
                data = data[: dice.randrange(len(data))]
            case 1:
                for _ in range(dice.randrange(1, 4)):
                    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            case 2:
                data[dice.randrange(len(data)) :] = dice.randbytes(dice.randrange(200))
        path.write_bytes(data)
        try:
            name, found = load_selection(path, KEY, COUNT)
        except FormatError:
            continue
        assert len(name) <= 80
        assert ((found >= 0) & (found < COUNT)).all()


def save_for_ever(run: Path, ready: int) -> None:
    """In a child: write two versions in turn until killed."""
    both = [frozen(np.arange(which, 200_000, 2)) for which in (0, 1)]
    for i in range(10**9):
        save_selection(run, "thing", both[i % 2], "k", 200_000)
        os.write(ready, b".")


def test_a_kill_while_saving_leaves_old_or_new(tmp_path: Path):
    dice = random.Random(0)
    for _ in range(cases(10, 200)):
        heard, ready = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                save_for_ever(tmp_path, ready)
            finally:
                os._exit(1)
        os.read(heard, 1)
        time.sleep(dice.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(heard)
        os.close(ready)
        found, problems = load_selections(tmp_path, "k", 200_000)
        assert not problems
        assert len(found["thing"]) == 100_000
        assert set(np.diff(found["thing"]).tolist()) == {2}
