"""3D-OVS's layout and rule on the two-blob scene."""

import numpy as np
import pytest
from PIL import Image

from langfield.errors import LangfieldError
from langfield.evaluate import ovs3d
from tests.blobs import CAMERAS, blob_ids
from tests.evaluate.scored import FRAMES, blob_subject


def write_scene(folder, views=("view_1", "view_2")):
    home = folder / "segmentations"
    home.mkdir()
    (home / "classes.txt").write_text("cube\nball\n")
    for view in views:
        ids = blob_ids(CAMERAS[f"{view}.png"])[0] if f"{view}.png" in CAMERAS else np.full((72, 96), -1)
        (home / view).mkdir()
        for i, word in enumerate(("ball", "cube")):
            Image.fromarray(((ids == i) * 255).astype(np.uint8)).save(home / view / f"{word}.png")
    return folder


def test_every_pair_of_view_and_class_against_sets(tmp_path):
    outcome = ovs3d.score(blob_subject(), write_scene(tmp_path))
    scores = outcome.scores["field"]
    assert [(s.frame, s.text) for s in scores] == [(f"view_{i}.png", word) for i in (1, 2) for word in ("ball", "cube")]
    for s in scores:
        look = s.look()
        assert look is not None
        answer, truth = (set(np.flatnonzero(m)) for m in (look.answer, look.truth))
        assert truth == set(np.flatnonzero(blob_ids(CAMERAS[s.frame])[0] == ("ball", "cube").index(s.text)))
        assert s.iou == pytest.approx(len(answer & truth) / len(answer | truth))
        assert s.iou > 0.5


def test_views_by_number_and_views_that_are_not_there(tmp_path):
    home = write_scene(tmp_path) / "segmentations"
    (home / "view_1").rename(home / "01")
    (home / "view_2").rename(home / "77")
    _, views, notes = ovs3d.read_scene(tmp_path, FRAMES)
    assert [v.frame.name for v in views] == ["view_1.png"]
    assert "77" in notes[0]


@pytest.mark.parametrize("damage", ["no classes", "one class", "climbing", "no view", "no mask", "cut mask", "shape"])
def test_hostile_scenes_are_refused(tmp_path, damage):
    home = write_scene(tmp_path) / "segmentations"
    mask = home / "view_1" / "ball.png"
    if damage == "no classes":
        (home / "classes.txt").unlink()
    elif damage == "one class":
        (home / "classes.txt").write_text("ball\nball")
    elif damage == "climbing":
        (home / "classes.txt").write_text("ball\n../../secret")
    elif damage == "no view":
        (home / "view_1").rename(home / "x")
        (home / "view_2").rename(home / "y")
    elif damage == "no mask":
        mask.unlink()
    elif damage == "cut mask":
        mask.write_bytes(mask.read_bytes()[:60])
    else:
        Image.new("L", (96, 30)).save(mask)
    with pytest.raises(LangfieldError):
        ovs3d.score(blob_subject(), tmp_path)
