"""Splat files: our reader, our writer, a second reader, and files made to hurt."""

import contextlib
import resource

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError
from langfield.field.ply import read_ply, write_ply
from langfield.raster.types import Gaussians
from tests.series import cases


def some(n: int, k: int) -> Gaussians:
    g = torch.Generator().manual_seed(n * 100 + k)
    return Gaussians(*(torch.randn(*s, generator=g) for s in ((n, 3), (n, 4), (n, 3), (n,), (n, k, 3))))


@pytest.mark.parametrize("k", [1, 4, 9, 16])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_round_trip(tmp_path, n, k):
    write_ply(tmp_path / "a.ply", some(n, k))
    for a, b in zip(some(n, k).tensors(), read_ply(tmp_path / "a.ply").tensors(), strict=True):
        assert a.equal(b)


def test_another_reader_agrees_and_harmonics_lie_channel_by_channel(tmp_path):
    scene = some(5, 16)
    sh = torch.arange(16)[None, :, None] + 100.0 * torch.arange(3) + 1000.0 * torch.arange(5)[:, None, None]
    write_ply(tmp_path / "a.ply", Gaussians(*scene.tensors()[:4], sh))
    vertex = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(45))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    assert [p.name for p in vertex.properties] == names
    assert np.array_equal(vertex["rot_0"], scene.quats[:, 0].numpy())
    assert np.array_equal(vertex["opacity"], scene.logit_opacities.numpy())
    for colour in range(3):
        assert vertex[f"f_dc_{colour}"][2] == 2000 + 100 * colour
        for i in range(15):
            assert vertex[f"f_rest_{15 * colour + i}"][2] == 2000 + 100 * colour + i + 1


def test_columns_in_another_order_and_type_are_read(tmp_path):
    scene = some(3, 4)
    write_ply(tmp_path / "a.ply", scene)
    data = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"].data
    fields = [(name, "f8") for name in reversed(data.dtype.names)] + [("label", "u1")]
    other = np.zeros(3, dtype=fields)
    for name in data.dtype.names:
        other[name] = data[name]
    plyfile.PlyData([plyfile.PlyElement.describe(other, "vertex")], byte_order="<").write(str(tmp_path / "b.ply"))
    assert read_ply(tmp_path / "b.ply").sh.equal(scene.sh)


HEAD = b"ply\nformat binary_little_endian 1.0\nelement vertex %s\nproperty float x\nend_header\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ply\n",
        b"\x89PNG",
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n",
        HEAD % b"1000000000",
        HEAD % b"999999999999999999999999",
        HEAD % b"-1",
        HEAD % b"0",
        HEAD % "²".encode(),
        HEAD.replace(b"float x", b"list uchar int x") % b"1",
        HEAD.replace(b"property float x\n", b"property float x\n" * 2) % b"0",
        HEAD.replace(b"property float x\n", b"") % b"0",
    ],
)
def test_damaged_files_are_refused_without_taking_memory(tmp_path, data):
    (tmp_path / "a.ply").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError):
        read_ply(tmp_path / "a.ply")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"none\.ply"):
        read_ply(tmp_path / "none.ply")


@settings(max_examples=cases(150), deadline=None)
@given(cut=st.integers(0, 1500), at=st.integers(0, 1400), byte=st.integers(0, 255))
def test_cut_and_changed_files_give_gaussians_or_a_format_error(tmp_path_factory, cut, at, byte):
    path = tmp_path_factory.getbasetemp() / "fuzz.ply"
    write_ply(path, some(4, 4))
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(bytes(data[: len(data) - cut] if cut < len(data) else data))
    with contextlib.suppress(FormatError):
        assert len(read_ply(path)) <= 9999
