"""A frame survives the wire; a header that lies is refused before memory is taken; junk gives our errors only."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langfield.capture.rgbd import RgbdFrame
from langfield.capture.types import Distortion
from langfield.errors import FormatError
from langfield.online import wire
from tests.fuzz.spoil import spoil_bytes, spoil_json
from tests.online.frames import HEIGHT, WIDTH, frame

BIG = 64 * 2**20


def receiver(data: bytes) -> wire.Receive:
    """Give bytes in order; at their end the message is cut short."""
    stream = io.BytesIO(data)

    def receive(count: int) -> bytes:
        assert count <= wire.CHUNK
        piece = stream.read(count)
        if len(piece) < count:
            raise FormatError("cut short")
        return piece

    return receive


def read(data: bytes) -> RgbdFrame:
    receive = receiver(data)
    head = wire.checked(wire.read_header(receive))
    return wire.decoded(head, *wire.read_parts(head, receive))


def header_of(data: bytes) -> dict[str, Any]:
    return wire.read_header(receiver(data))


def with_header(data: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    (length,) = struct.unpack(">I", data[:4])
    header = json.dumps(change(json.loads(data[4 : 4 + length])), ensure_ascii=False).encode(errors="replace")
    return struct.pack(">I", len(header)) + header + data[4 + length :]


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_there_and_back_bit_for_bit(encoding: wire.Encoding):
    depth = np.random.default_rng(0).random((HEIGHT, WIDTH)).astype(np.float32)
    lens = Distortion("opencv", (0.1, -0.2, 0.0, 0.001))
    one = frame(7, depth)
    one = replace(one, camera=replace(one.camera, distortion=lens))
    back = read(wire.message(one, encoding))
    assert (back.image == one.image).all()
    assert (back.depth_m == depth).all()
    assert torch.equal(back.camera.K, one.camera.K)
    assert torch.allclose(back.camera.T_world_camera, one.camera.T_world_camera, atol=1e-15)
    assert (back.index, back.time_s, back.name, back.has_pose) == (7, 7 / 30, "0007.png", True)
    assert back.camera.distortion == lens
    assert back.image.flags.writeable


def test_jpeg_is_close_and_depth_and_pose_may_be_missing():
    one = replace(frame(0, None), has_pose=False)
    back = read(wire.message(one, "jpeg"))
    assert np.abs(back.image.astype(int) - one.image).mean() < 8
    assert back.depth_m is None
    assert not back.has_pose
    assert torch.equal(back.camera.T_world_camera, torch.eye(4, dtype=torch.float64))


def test_sixteen_bit_depth_raw_and_as_picture():
    units = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH)).astype("<u2")
    out = io.BytesIO()
    Image.fromarray(units).save(out, "PNG")
    plain = wire.message(frame(0, None))
    for encoding, data in (("uint16", units.tobytes()), ("png", out.getvalue())):
        part = {"encoding": encoding, "bytes": len(data), "scale": 5000}
        back = read(with_header(plain, lambda h, part=part: h | {"depth": part}) + data)
        np.testing.assert_allclose(back.depth_m, units / 5000, rtol=1e-6)  # type: ignore[arg-type]


def test_depth_that_is_no_number_arrives_as_unknown():
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[0, :4] = (np.nan, np.inf, -np.inf, -1)
    back = read(wire.message(frame(0, depth)))
    assert back.depth_m is not None
    assert back.depth_m[0, :5].tolist() == [0, 0, 0, 0, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"width": 10**9, "height": 10**9}, {"width": 5000}, {"width": 0}, {"width": "80"}, {"height": 59},
        {"image": {"encoding": "raw", "bytes": 2**40}}, {"image": {"encoding": "jpeg", "bytes": 2**40}},
        {"image": {"encoding": "webp", "bytes": 5}}, {"image": {"encoding": ["raw"], "bytes": 5}}, {"image": None},
        {"image": {"encoding": "jpeg", "bytes": 0}}, {"depth": {"encoding": "float32", "bytes": 4}},
        {"depth": {"encoding": "uint16", "bytes": WIDTH * HEIGHT * 2}},
        {"depth": {"encoding": "uint16", "bytes": WIDTH * HEIGHT * 2, "scale": 0}}, {"depth": 3},
        {"time_s": None}, {"time_s": float("1e999")}, {"index": -1}, {"index": 0.5}, {"index": True},
        {"name": "../../x"}, {"name": ""}, {"name": "a\0b"}, {"name": "x" * 201}, {"name": 5},
        {"K": [1, 2]}, {"K": [0] * 9}, {"pose": [1.0] * 16}, {"pose": "x"}, {"pose": [None] * 16},
        {"distortion": {"model": "opencv", "coefficients": [0.0] * 9}}, {"distortion": []},
        {"distortion": {"model": "x", "coefficients": []}},
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_lies_is_refused_before_its_frame_is_read(change: dict[str, Any]):
    header = header_of(wire.message(frame())) | change
    with pytest.raises(FormatError):
        wire.checked(header)


def test_long_headers_and_what_is_no_object_are_refused():
    for data in (struct.pack(">I", 2**31), struct.pack(">I", 2) + b"[]", struct.pack(">I", 3) + b"\xff{}",
                 struct.pack(">I", 9000) + b"[" * 9000):  # fmt: skip
        with pytest.raises(FormatError):
            wire.read_header(receiver(data))


@given(st.integers(0, 2**32), st.sampled_from(["raw", "png", "jpeg"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_spoilt_messages_give_our_errors_only_and_take_little_memory(seed: int, encoding: wire.Encoding, deep: bool):
    rng, data = Random(seed), wire.message(frame(), encoding)
    spoilt = with_header(data, lambda h: spoil_json(h, rng)) if deep else spoil_bytes(data, rng)
    tracemalloc.start()
    try:
        back = read(spoilt)
        assert back.image.shape == (back.camera.height, back.camera.width, 3)
        assert back.depth_m is None or np.isfinite(back.depth_m).all()
        assert np.isfinite(back.time_s)
    except FormatError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < BIG


def test_a_frame_without_finite_time_cannot_be_sent():
    with pytest.raises(FormatError, match="not finite"):
        wire.message(replace(frame(), time_s=float("nan")))
