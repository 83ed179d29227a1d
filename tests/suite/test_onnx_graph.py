"""The protobuf reader on messages written by hand, and on damaged ones."""

from __future__ import annotations

import numpy as np
import pytest

from langfield.errors import FormatError
from langfield.suite.onnx_graph import read_graph
from langfield.suite.torch_tower import tower_state


def field(number: int, payload: bytes | int) -> bytes:
    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def tensor(name: str, values: np.ndarray, kind: int) -> bytes:
    dims = b"".join(field(1, d) for d in values.shape)
    return field(5, dims + field(2, kind) + field(8, name.encode()) + field(9, values.tobytes()))


WEIGHT = np.arange(-3, 3, dtype=np.int8).reshape(2, 3)
NODE = field(1, field(1, b"x") + field(1, b"w") + field(2, b"y") + field(3, b"/mul") + field(4, b"MatMulInteger"))
SPELLED = field(5, field(1, 2) + field(2, 1) + field(8, b"s") + field(4, np.array([0.5, 2], "<f4").tobytes()))
MODEL = field(1, 8) + field(7, NODE + tensor("w", WEIGHT, 3) + SPELLED)


def test_tensors_and_nodes_come_back(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(MODEL)
    graph = read_graph(path)
    np.testing.assert_array_equal(graph.tensors["w"], WEIGHT)
    np.testing.assert_array_equal(graph.tensors["s"], np.array([0.5, 2], np.float32))
    assert graph.nodes[0].op == "MatMulInteger"
    assert graph.nodes[0].inputs == ("x", "w")
    with pytest.raises(FormatError, match="another model"):
        tower_state(graph)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, MODEL[:-5], field(7, tensor("w", WEIGHT, 1)), b"no model at all"])
def test_damage_is_one_clear_sentence(tmp_path, data):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(FormatError, match="not readable as an ONNX model"):
        read_graph(path)
