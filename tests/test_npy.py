"""npy files of other programs: what NumPy writes comes back, what lies is refused without taking memory."""

from __future__ import annotations

import contextlib
import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError
from langfield.npy import read_npy, write_npy


def npy_bytes(array, version=(1, 0)) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), version=version, allow_pickle=True)
    return out.getvalue()


ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(5, dtype=">i2"),
    np.zeros((0, 512), np.float16),
    np.float64(3.5),
]


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: str(np.shape(a)))
def test_what_numpy_writes_comes_back(tmp_path, array, version):
    path = tmp_path / "a.npy"
    path.write_bytes(npy_bytes(array, version))
    back = read_npy(path)
    np.testing.assert_array_equal(back, array)
    assert back.dtype.isnative
    write_npy(path, back)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), array)


class Trap:
    def __reduce__(self):
        return os.abort, ()


BAD = {
    "pickled objects": npy_bytes(np.array([Trap()], dtype=object)),
    "text": npy_bytes(np.array(["a"])),
    "records": npy_bytes(np.zeros(2, [("a", "f4")])),
    "truth values": npy_bytes(np.zeros(3, bool)),
    "complex numbers": npy_bytes(np.zeros(3, complex)),
    "numbers missing": npy_bytes(np.zeros(9))[:-1],
    "numbers too many": npy_bytes(np.zeros(9)) + b"\0",
    "nothing": b"",
    "a zip": b"PK\3\4" + bytes(99),
    "only the magic": b"\x93NUMPY",
}


@pytest.mark.parametrize("what", BAD)
def test_anything_else_is_refused(tmp_path, what):
    path = tmp_path / "bad.npy"
    path.write_bytes(BAD[what])
    with pytest.raises(FormatError, match=r"bad\.npy"):
        read_npy(path)


@pytest.mark.parametrize("shape", ["(100000000000000,)", "(4, 99999, 99999999)", "(-1, 2)", "(True,)", "3", "(1.5,)"])
def test_a_header_that_lies_takes_no_memory(tmp_path, shape):
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    path = tmp_path / "lie.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(40))
    with pytest.raises(FormatError):
        read_npy(path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_numbers_or_one_error(tmp_path_factory, data):
    whole = bytearray(npy_bytes(np.arange(6, dtype=np.float32).reshape(2, 3)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(FormatError):
        assert read_npy(path).nbytes <= len(whole)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FormatError, match="not found"):
        read_npy(tmp_path / "none.npy")
