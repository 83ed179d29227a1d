"""Labels: matched by name, several things of a name are one query, crafted files are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.capture.types import Camera, Distortion, Frame
from langfield.errors import FormatError
from langfield.evaluate.labels import draw_mask, read_labels

SQUARE = [[10.0, 10.0], [20.0, 10.0], [20.0, 30.0], [10.0, 30.0]]
K = torch.tensor([[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]], dtype=torch.float64)


def frame(name: str, size=(100, 80), source: Camera | None = None) -> Frame:
    scale = torch.tensor([size[0] / 100, size[1] / 80, 1.0], dtype=torch.float64)
    return Frame(name, Path(name), Camera(K * scale[:, None], size[0], size[1], torch.eye(4)), source)


def write(folder: Path, name: str, objects, file: str | None = None) -> None:
    data = {"info": {"name": name, "width": 100, "height": 80}, "objects": objects}
    (folder / (file or f"{name}.json")).write_text(json.dumps(data))


def thing(category="mug", segmentation=SQUARE):
    return {"category": category, "segmentation": segmentation, "bbox": [10, 10, 20, 30]}


@pytest.mark.parametrize(
    ("labelled", "in_capture"),
    [
        ("a.png", "a.png"),
        ("a.jpg", "a.png"),
        ("a", "images/a.png"),
        ("images/a.png", "a.png"),
        ("1341847982.730674.png", "1341847982.730674.png"),
        ("1341847982.730674", "frames/1341847982.730674.png"),
    ],
)
def test_matching_by_name(tmp_path, labelled, in_capture):
    write(tmp_path, labelled, [thing()], "any.json")
    labels = read_labels(tmp_path, [frame("b.png"), frame(in_capture), frame("1341847982.730675.png")])
    assert [q.frame for q in labels.queries] == [in_capture]


def test_ambiguous_stems_do_not_match(tmp_path):
    write(tmp_path, "a", [thing()])
    write(tmp_path, "b.png", [thing()])
    labels = read_labels(tmp_path, [frame("left/a.png"), frame("right/a.png"), frame("b.png")])
    assert [q.frame for q in labels.queries] == ["b.png"]
    assert "labelled frame a is not in the capture" in labels.notes[0]


def test_several_things_of_a_name_are_one_query(tmp_path):
    moved = [[x + 40, y] for x, y in SQUARE]
    write(tmp_path, "a.png", [thing(), thing("lamp"), thing(segmentation=moved), thing("ghost", [])])
    labels = read_labels(tmp_path, [frame("a.png")])
    assert [q.text for q in labels.queries] == ["mug", "lamp"]
    np.testing.assert_allclose(labels.queries[0].boxes, [[10, 10, 20, 30], [50, 10, 60, 30]], atol=1e-6)
    assert any("ghost has no outline" in note for note in labels.notes)


def test_polygons_follow_a_resized_frame(tmp_path):
    source = frame("a.png").camera
    write(tmp_path, "a.png", [thing()])
    labels = read_labels(tmp_path, [frame("a.png", (50, 40), source)])
    np.testing.assert_allclose(labels.queries[0].boxes, [[5, 5, 10, 15]], atol=1e-6)


def test_polygons_follow_an_undistorted_frame(tmp_path):
    """The twin: distort the answer by the radial polynomial and get the label back."""
    plain = frame("a.png").camera
    source = Camera(K, 100, 80, torch.eye(4), Distortion("opencv", (0.1, 0.02)))
    write(tmp_path, "a.png", [thing()])
    labels = read_labels(tmp_path, [Frame("a.png", Path("a.png"), plain, source)])
    found = (labels.queries[0].polygons[0] - [50, 40]) / 100
    r2 = (found**2).sum(1, keepdims=True)
    back = found * (1 + 0.1 * r2 + 0.02 * r2**2) * 100 + [50, 40]
    np.testing.assert_allclose(back, SQUARE, atol=1e-2)
    assert abs(labels.queries[0].polygons[0] - SQUARE).max() > 0.1


def test_mask_is_filled_with_its_edge():
    mask = draw_mask([np.array([[2.0, 1], [5, 1], [5, 3], [2, 3]])], 6, 8)
    assert mask.sum() == 4 * 3
    assert mask[1:4, 2:6].all()
    assert draw_mask([np.array([[-1e9, 0], [1e9, 0], [1e9, 1e9]])], 6, 8).any()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"info": {"name": 3}, "objects": []}',
        '{"info": {"name": "a.png"}, "objects": {}}',
        '{"info": {"name": "a.png"}, "objects": [3]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": ""}]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": "x", "segmentation": [[1, 2], [3, 4]]}]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": "x", "segmentation": [[1, 2], [3, 4], [NaN, 1]]}]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": "x", "segmentation": [[1, 2], [3, 4], [1e999, 1]]}]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": "x", "segmentation": "1 2 3"}]}',
        '{"info": {"name": "a.png"}, "objects": [{"category": "x", "segmentation": [[1, 2], [3, 4], [1'
        + "0" * 400
        + ", 1]]}]}",
        "[" * 100_000,
    ],
    ids=lambda text: text[-30:],
)
def test_crafted_files(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError):
        read_labels(tmp_path, [frame("a.png")])


def test_nothing_to_score(tmp_path):
    with pytest.raises(FormatError, match="no label files"):
        read_labels(tmp_path, [frame("a.png")])
    write(tmp_path, "z.png", [thing()])
    with pytest.raises(FormatError, match="no labelled frame belongs"):
        read_labels(tmp_path, [frame("a.png")])
