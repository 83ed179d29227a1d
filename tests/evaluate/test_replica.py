"""Per-class IoU pooled over a scene, of pixels and of points, against a loop over places."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langfield.errors import LangfieldError
from langfield.evaluate import replica
from langfield.evaluate.replica import Counts, class_map
from tests.blobs import CAMERAS, CENTRES, EACH, blob_gaussians, blob_ids
from tests.evaluate.scored import blob_subject


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_counts_against_a_loop(seed):
    draw = np.random.default_rng(seed)
    counts, texts = Counts(4), ["a", "b", "c", "d"]
    pairs = []
    for _ in range(3):
        answer, truth = draw.integers(-1, 4, size=(2, 15)).astype(np.int32)
        counts.add(answer, truth)
        pairs += list(zip(answer.tolist(), truth.tolist(), strict=True))
    scores = {s.text: s for s in counts.scores("3 views", texts, {})}
    for i, text in enumerate(texts):
        both = sum(a == t == i for a, t in pairs)
        either = sum(t != -1 and i in (a, t) for a, t in pairs)
        mine = sum(t == i for _, t in pairs)
        assert (text in scores) == (mine > 0)
        if mine:
            assert scores[text].iou == pytest.approx(both / either)
            assert scores[text].values()["mAcc"] == pytest.approx(both / mine)


def test_ids_without_a_name_are_void():
    assert class_map(np.array([[0, 5], [7, -2]], np.int32), {5: 0, 7: 1}).tolist() == [[-1, 0], [1, -1]]


def write_pictures(folder):
    (folder / "names.json").write_text(json.dumps({"3": "cube", "9": "ball", "200": "lamp"}))
    (folder / "masks").mkdir()
    for name, camera in list(CAMERAS.items())[:2]:
        ids = np.array([9, 3, 0])[blob_ids(camera)[0]]
        Image.fromarray(ids.astype(np.uint8)).save(folder / "masks" / name)
    Image.new("L", (96, 72)).save(folder / "masks" / "elsewhere.png")
    return folder


def test_pixels_of_the_blobs(tmp_path):
    outcome = replica.score_pixels(blob_subject(), write_pictures(tmp_path))
    scores = outcome.scores["field"]
    assert [s.text for s in scores] == ["cube", "ball"]
    assert all(s.iou > 0.9 and s.frame == "2 views" for s in scores)
    assert outcome.notes == ("1 label pictures are of views that are not in the capture",)
    looks = [s.look() for s in scores]
    assert all(look is not None and look.frame in CAMERAS for look in looks)


def write_points(folder, ids, extra=""):
    (folder / "classes.txt").write_text("3 cube\n9 ball\n")
    xyz = blob_gaussians().means.numpy()
    lines = [" ".join(f"{v:.5f}" for v in p) + f" {i}" for p, i in zip(xyz, ids, strict=True)]
    head = ["ply", "format ascii 1.0", f"element vertex {len(lines)}", *(f"property float {a}" for a in "xyz"),
            "property int label", "end_header"]  # fmt: skip
    (folder / "points.ply").write_text("\n".join(head + lines) + extra)
    return folder


def test_points_take_the_class_of_what_is_nearest(tmp_path):
    ids = [9] * EACH + [3] * EACH
    ids[:20] = [3] * 20
    ids[-10:] = [0] * 10
    scores = {s.text: s for s in replica.score_points(blob_subject(), write_points(tmp_path, ids)).scores["field"]}
    assert scores["ball"].iou == pytest.approx((EACH - 20) / EACH)
    assert scores["cube"].iou == pytest.approx((EACH - 10) / (EACH + 10))
    assert float((CENTRES[0] - CENTRES[1]).norm()) > 1


def test_pixels_and_points_do_not_depend_on_where_names_stand(tmp_path):
    """Ids may be numbered anyhow: only names are asked."""
    first = replica.score_pixels(blob_subject(), write_pictures(tmp_path)).scores["field"]
    (tmp_path / "names.json").write_text(json.dumps({"200": "lamp", "9": "ball", "3": "cube"}))
    second = replica.score_pixels(blob_subject(), tmp_path).scores["field"]
    assert [(s.text, s.iou) for s in first] == [(s.text, s.iou) for s in second]


@pytest.mark.parametrize("damage", ["none", "two", "cut", "nan", "no label"])
def test_hostile_points_are_refused(tmp_path, damage):
    ply = write_points(tmp_path, [9] * (2 * EACH)) / "points.ply"
    text = ply.read_text()
    if damage == "none":
        ply.unlink()
    elif damage == "two":
        (tmp_path / "other.ply").write_text(text)
    elif damage == "cut":
        ply.write_text(text[: len(text) // 2])
    elif damage == "nan":
        ply.write_text(text.replace("end_header\n", "end_header\nnan 0 0 9\n"))
    else:
        ply.write_text(text.replace("property int label", "property int weight"))
    with pytest.raises(LangfieldError):
        replica.score_points(blob_subject(), tmp_path)
