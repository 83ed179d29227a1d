"""PLY points: against plyfile, and against damage."""

from __future__ import annotations

import contextlib

import numpy as np
import plyfile
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langfield.capture.points import read_ply_points
from langfield.errors import FormatError
from tests.series import cases

HEADER = (
    "ply\nformat {} 1.0\ncomment made up\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\n"
)
COLOURS = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


def write_with_plyfile(path, xyz, rgb, text=False, order="<", first=()):
    rows = np.empty(len(xyz), dtype=[*[(c, "f4") for c in "xyz"], ("nx", "f8"), *[(c, "u1") for c in COLOUR_NAMES]])
    for i, c in enumerate("xyz"):
        rows[c] = xyz[:, i]
    for i, c in enumerate(COLOUR_NAMES):
        rows[c] = rgb[:, i]
    rows["nx"] = 0.5
    elements = [plyfile.PlyElement.describe(e, n) for e, n in first] + [plyfile.PlyElement.describe(rows, "vertex")]
    plyfile.PlyData(elements, text=text, byte_order=order).write(path)


COLOUR_NAMES = ("red", "green", "blue")


@pytest.mark.parametrize(("text", "order"), [(True, "="), (False, "<"), (False, ">")])
def test_reads_what_plyfile_writes(tmp_path, text, order):
    rng = np.random.default_rng(0)
    xyz, rgb = rng.normal(size=(20, 3)).astype(np.float32), rng.integers(0, 256, (20, 3), dtype=np.uint8)
    first = [(np.zeros(3, dtype=[("a", "i4"), ("b", "u1")]), "other")]
    write_with_plyfile(tmp_path / "a.ply", xyz, rgb, text, order, first)
    points = read_ply_points(tmp_path / "a.ply")
    np.testing.assert_allclose(points.xyz.numpy(), xyz, rtol=1e-6)
    assert np.array_equal(points.rgb.numpy(), rgb)


def test_without_and_with_float_colours(tmp_path):
    path = tmp_path / "a.ply"
    path.write_text(HEADER.format("ascii", 1) + "end_header\n1 2 3\n")
    assert read_ply_points(path).rgb.tolist() == [[128, 128, 128]]
    path.write_text(HEADER.format("ascii", 1) + COLOURS.replace("uchar", "float") + "end_header\n1 2 3 0 0.5 1\n")
    assert read_ply_points(path).rgb.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("count", [2, 10**6, 2**40, 999_999_999_999_999])
@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian"])
def test_declared_count_beyond_the_file(tmp_path, kind, count):
    path = tmp_path / "a.ply"
    path.write_bytes((HEADER.format(kind, count) + "end_header\n").encode() + b"1 2 3\n")
    with pytest.raises(FormatError, match=r"cut short|is not 3 numbers"):
        read_ply_points(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plx\n", "not a PLY"),
        ("ply\nformat ascii 1.0\nend_header\n", "no vertices"),
        (HEADER.format("ascii", 1).replace("float z", "float w") + "end_header\n1 2 3\n", "no x, y, z"),
        (HEADER.format("ascii", 1) + "end_header\n1 nan 3\n", "1 of 1 points are not finite"),
        (HEADER.format("ascii", 1) + "end_header\n1 2 3e39\n", "not finite"),
        (HEADER.format("ascii", 1) + "property list uchar int i\nend_header\n1 2 3 0\n", "with lists"),
        (HEADER.format("strange", 1) + "end_header\n", "no known format"),
        (HEADER.format("ascii", "-1") + "end_header\n", "not understood"),
        (HEADER.format("ascii", 1) + "property float x\nend_header\n1 2 3 4\n", "twice"),
        ("ply\n" + "comment x\n" * 2000, "does not end"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, said):
    path = tmp_path / "a.ply"
    path.write_text(text)
    with pytest.raises(FormatError, match=said):
        read_ply_points(path)


@settings(
    max_examples=cases(80), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.booleans(), st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=6)), max_size=4))
def test_damage_gives_only_format_errors(tmp_path, text, edits):
    path = tmp_path / "a.ply"
    write_with_plyfile(path, np.ones((4, 3)), np.ones((4, 3)), text)
    data = bytearray(path.read_bytes())
    for where, junk in edits:
        at = int(where * len(data))
        data[at : at + len(junk)] = junk
    path.write_bytes(bytes(data))
    with contextlib.suppress(FormatError):
        read_ply_points(path)
