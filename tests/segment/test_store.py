"""Segments on disk: equality after a round trip, and files that lie."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from langfield.artefacts import write_arrays
from langfield.errors import FormatError, LangfieldError
from langfield.segment import load_segments, save_segments
from langfield.segment.types import Segments


def example() -> Segments:
    ids = np.full((3, 6, 8), -1, np.int16)
    ids[0, 1:3, 1:4], ids[0, 4:, 5:], ids[2, 2:, :] = 0, 1, 2
    boxes = np.array([[1, 1, 4, 3], [5, 4, 8, 6], [0, 2, 8, 6]], np.int32)
    return Segments(ids, boxes, np.array([0, 0, 2], np.int16), np.array([0.9, 0.8, 1.0], np.float32))


def as_arrays(segments: Segments, version: int = 1) -> dict[str, np.ndarray]:
    arrays = {f.name: getattr(segments, f.name) for f in dataclasses.fields(segments)}
    return arrays | {"version": np.array(version, np.int32)}


def write_as(path, arrays: dict[str, np.ndarray], version: int) -> None:
    """Version 1 keeps id maps plain, version 2 each row as the bits that differ from the row above."""
    ids = arrays["ids"].copy()
    if version == 2:
        for row in range(ids.shape[1] - 1, 0, -1):
            ids[:, row] ^= arrays["ids"][:, row - 1]
    write_arrays(path, arrays | {"ids": ids})


@pytest.mark.parametrize("empty", [False, True])
def test_round_trip(tmp_path, empty):
    segments = example()
    if empty:
        segments = Segments(
            np.full((3, 4, 5), -1, np.int16), np.zeros((0, 4), np.int32), np.zeros(0, np.int16), np.zeros(0, np.float32)
        )
    save_segments(tmp_path / "a.npz", segments)
    back = load_segments(tmp_path / "a.npz")
    for field in dataclasses.fields(segments):
        before, after = getattr(segments, field.name), getattr(back, field.name)
        assert np.array_equal(before, after)
        assert before.dtype == after.dtype


def test_equal_segments_give_equal_bytes(tmp_path):
    for name in "ab":
        save_segments(tmp_path / f"{name}.npz", example())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_are_read(tmp_path, version):
    write_as(tmp_path / "a.npz", as_arrays(example(), version), version)
    assert np.array_equal(load_segments(tmp_path / "a.npz").ids, example().ids)


def test_bytes_follow_edges_not_pixels(tmp_path):
    """Discs over discs, as many at each size: sixteen times the pixels are four times the edge."""
    sizes = {}
    for scale in (1, 4):
        y, x = np.mgrid[: 200 * scale, : 300 * scale] / scale
        ids = np.full((3, *y.shape), -1, np.int16)
        for row in range(60):
            ids[row // 20][np.hypot(y - row * 37 % 200, x - row * 53 % 300) < 15 + row % 7] = row
        boxes = np.tile(np.array([[0, 0, 300, 200]], np.int32), (60, 1))
        levels = np.repeat(np.arange(3), 20).astype(np.int16)
        save_segments(tmp_path / "a.npz", Segments(ids, boxes, levels, np.ones(60, np.float32)))
        sizes[scale] = (tmp_path / "a.npz").stat().st_size
    assert sizes[4] < 5 * sizes[1]


LIES = {
    "an id beyond the table": ("ids", lambda a: np.where(a == 2, 3, a)),
    "an id of another level": ("ids", lambda a: np.where(a == 1, 2, a)),
    "an id below -1": ("ids", lambda a: np.where(a == -1, -2, a)),
    "two levels": ("ids", lambda a: a[:2]),
    "no pixels": ("ids", lambda a: a[:, :0]),
    "wide ids": ("ids", lambda a: a.astype(np.int64)),
    "levels out of order": ("levels", lambda a: a[::-1].copy()),
    "a fourth level": ("levels", lambda a: a + 1),
    "a level too few": ("levels", lambda a: a[:2]),
    "levels as a table": ("levels", lambda a: a[None]),
    "a box outside": ("boxes", lambda a: a + 1),
    "an empty box": ("boxes", lambda a: a[:, [0, 1, 0, 1]]),
    "boxes of three": ("boxes", lambda a: a[:, :3]),
    "a score too high": ("scores", lambda a: a * 2),
    "a score that is no number": ("scores", lambda a: a * np.float32("nan")),
    "text": ("scores", lambda a: a.astype(str)),
    "a later version": ("version", lambda a: a * 0 + 3),
    "no version": ("version", lambda a: a * 0),
    "many versions": ("version", lambda a: np.array([1, 1], np.int32)),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies_is_refused(tmp_path, lie, version):
    name, change = LIES[lie]
    arrays = as_arrays(example(), version)
    path = tmp_path / "lie.npz"
    write_as(path, arrays | {name: change(arrays[name])}, version)
    with pytest.raises(FormatError, match=r"lie\.npz"):
        load_segments(path)


@pytest.mark.parametrize("name", ["ids", "boxes", "levels", "scores", "version"])
def test_a_missing_table_is_named(tmp_path, name):
    arrays = as_arrays(example())
    del arrays[name]
    write_arrays(tmp_path / "a.npz", arrays)
    with pytest.raises(FormatError, match=name):
        load_segments(tmp_path / "a.npz")


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_segments(path, example())
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            load_segments(path)


def test_a_flipped_byte_never_gives_wrong_rows(tmp_path):
    path = tmp_path / "a.npz"
    save_segments(path, example())
    data = path.read_bytes()
    for place in range(0, len(data), 13):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            load_segments(path)
        except LangfieldError:
            continue


def test_missing_file(tmp_path):
    with pytest.raises(FormatError):
        load_segments(tmp_path / "none.npz")


def test_what_is_inconsistent_is_not_written(tmp_path):
    bad = dataclasses.replace(example(), levels=np.array([0, 1, 1], np.int16))
    with pytest.raises(FormatError):
        save_segments(tmp_path / "a.npz", bad)
    assert list(tmp_path.iterdir()) == []
