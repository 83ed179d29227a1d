"""Labels of what changes: both layouts of questions, COCO outlines, and what is said where they are damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langfield.capture import read_capture
from langfield.capture.types import Frame
from langfield.errors import FormatError
from langfield.evaluate.dynamic_labels import (
    StateQuery,
    find_intervals,
    read_outlines,
    read_queries,
    steps_of,
)
from langfield.evaluate.labels import draw_mask, read_labels
from tests.blobs import look

SCENES = Path(__file__).parents[2] / "scenes"
HAND = Path(__file__).parents[2] / ".." / "shared" / "scenes" / "hand_dynamic"


def frames(count: int = 3) -> list[Frame]:
    """Frames 1.png, 2.png, ... whose times run backwards."""
    cameras = [replace(look(0.0), time_s=float(count - i)) for i in range(count)]
    return [Frame(f"{i + 1}.png", Path(f"{i + 1}.png"), camera) for i, camera in enumerate(cameras)]


def coco() -> dict:
    square = [10, 10, 30, 10, 30, 20, 10, 20]
    return {
        "categories": [{"id": 5, "name": "mug"}, {"id": 7, "name": "hat"}],
        "images": [
            {"id": 0, "file_name": "2_png.rf.77ab.jpg", "width": 48, "height": 36},
            {"id": 3, "file_name": "elsewhere.png", "width": 48, "height": 36},
            {"id": 4, "file_name": "1.png", "width": 96, "height": 72},
        ],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 5, "segmentation": [square, [0, 0, 4, 0, 4, 4]]},
            {"id": 1, "image_id": 4, "category_id": 5, "segmentation": [square]},
            {"id": 2, "image_id": 4, "category_id": 5, "segmentation": [[50, 50, 60, 50, 60, 60]]},
            {"id": 3, "image_id": 4, "category_id": 7, "segmentation": [square]},
            {"id": 4, "image_id": 3, "category_id": 7, "segmentation": [square]},
        ],
    }


def write(path: Path, data: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def test_outlines_find_their_frames_and_sizes(tmp_path):
    """A resized picture's outlines are scaled; pieces of one thing are one question."""
    write(tmp_path / "train" / "_annotations.coco.json", coco())
    labels = read_outlines(tmp_path, frames())
    found = {(q.frame, q.text): q.polygons for q in labels.queries}
    assert sorted((k, len(v)) for k, v in found.items()) == [(("1.png", "hat"), 1), (("1.png", "mug"), 2),
                                                            (("2.png", "mug"), 2)]  # fmt: skip
    assert found["2.png", "mug"][0].tolist() == [[20, 20], [60, 20], [60, 40], [20, 40]]
    assert found["1.png", "hat"][0].tolist() == [[10, 10], [30, 10], [30, 20], [10, 20]]
    assert labels.notes == ("labelled picture elsewhere.png is not in the capture",)


def test_both_layouts_of_questions_say_the_same(tmp_path):
    theirs = {"mug": {"full mug": [[0, 3], [9, 9]], "empty mug": []}, "hat": {"hat on": [[1, 2]]}}
    rows = [
        {"text": t, "object": o, "intervals": i, "kind": "keyword"} for o, q in theirs.items() for t, i in q.items()
    ]
    a = read_queries(write(tmp_path / "video_annotations.json", theirs))
    b = read_queries(write(tmp_path / "queries.json", {"queries": rows}))
    assert a == b
    assert a[0] == StateQuery("full mug", "mug", ((0, 3), (9, 9)))
    assert a[0].active(10).tolist() == [True] * 4 + [False] * 5 + [True]
    assert [q.occurs for q in a] == [True, False, True]
    assert find_intervals(tmp_path) == tmp_path / "queries.json"
    assert find_intervals(tmp_path / "annotations") == tmp_path / "queries.json"


def test_steps_follow_time():
    assert steps_of(frames()) == {"1.png": 2, "2.png": 1, "3.png": 0}
    still = [replace(f, camera=replace(f.camera, time_s=None)) for f in frames()]
    assert steps_of(still) == {"1.png": 0, "2.png": 1, "3.png": 2}
    same = [replace(f, camera=replace(f.camera, time_s=0.5)) for f in frames()]
    assert set(steps_of(same).values()) == {0}


@pytest.mark.parametrize(("data", "said"), [
    ([], "no JSON object"), ({}, "asks nothing"), ({"mug": []}, "no table of questions"),
    ({"mug": {"full": [[3, 1]]}}, "not its first and last step"), ({"mug": {"full": [[0.5, 1]]}}, "first and last"),
    ({"mug": {"full": [[True, True]]}}, "first and last"), ({"mug": {"full": [[0, 10**9]]}}, "first and last"),
    ({"mug": {"full": 3}}, "no list of intervals"), ({"queries": [{"text": "a"}]}, "object is not a text"),
    ({"queries": [{"text": "a", "object": "b", "intervals": [], "kind": "song"}]}, "no known kind"),
])  # fmt: skip
def test_damaged_questions_are_said(tmp_path, data, said):
    with pytest.raises(FormatError, match=said):
        read_queries(write(tmp_path / "queries.json", data))


@pytest.mark.parametrize(("change", "said"), [
    ({"categories": None}, "no list of categories"), ({"images": [{"id": 0}]}, "file_name is not a text"),
    ({"images": []}, "not both there"), ({"annotations": []}, "no labelled picture belongs"),
    ({"categories": [{"id": "5", "name": "mug"}]}, "id is not a whole number"),
    ({"images": [{"id": 0, "file_name": "1.png", "width": 0, "height": 9}]}, "a picture of 0x9"),
    ({"annotations": [{"image_id": 0, "category_id": 5, "segmentation": {"counts": "x"}}]}, "not run lengths"),
    ({"annotations": [{"image_id": 0, "category_id": 5, "segmentation": [[1, 2, 3, 4, 5]]}]}, "not x y pairs"),
    ({"annotations": [{"image_id": 0, "category_id": 5, "segmentation": [[float("nan")] * 6]}]}, "not x y pairs"),
])  # fmt: skip
def test_damaged_outlines_are_said(tmp_path, change, said):
    with pytest.raises(FormatError, match=said):
        read_outlines(write(tmp_path / "a.json", coco() | change), frames())


def test_the_rendered_scene_agrees_with_its_masks():
    """Outlines in 4D LangSplat's layout and in LERF's draw the exact masks; steps are the frames' numbers."""
    capture = read_capture(SCENES / "changes")
    labels = read_outlines(SCENES / "changes" / "annotations", capture.frames)
    assert {q.frame for q in labels.queries} == {f.name for f in capture.frames}
    assert steps_of(capture.frames) == {f.name: int(f.name[:3]) - 1 for f in capture.frames}
    lerf = {(q.frame, q.text): q for q in read_labels(SCENES / "changes" / "label", capture.frames).queries}
    mine = {(q.frame, q.text): q for q in labels.queries}
    assert set(lerf) <= set(mine)
    for key, query in lerf.items():
        one, two = (draw_mask(q.polygons, 240, 320) for q in (query, mine[key]))
        assert (one & two).sum() / (one | two).sum() > 0.95


@pytest.mark.skipif(not HAND.is_dir(), reason="the shared scene hand_dynamic is not beside the repository")
def test_hand_dynamic_says_the_same_in_both_layouts():
    capture = read_capture(HAND)
    coco, lerf = read_outlines(HAND / "annotations", capture.frames), read_labels(HAND / "label", capture.frames)
    masks = [{(q.frame, q.text): draw_mask(q.polygons, 384, 512) for q in x.queries} for x in (coco, lerf)]
    assert set(masks[0]) == set(masks[1])
    assert len(masks[0]) >= 30
    for key, mask in masks[0].items():
        assert np.mean(mask == masks[1][key]) > 0.999
