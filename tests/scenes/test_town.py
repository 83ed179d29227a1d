"""The procedural town: exact in depth and ids, the same whoever makes a photo, and a capture like any other."""

# The scripts lie outside the package; conftest.py puts them on the path.
# pyright: reportMissingImports=false

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from make_town import Options, main
from PIL import Image
from town import files
from town.features import Vectors, features
from town.photo import Survey, take
from town.shapes import BOX, Shapes, cast, joined, rays

from langfield.capture import read_capture
from langfield.errors import SettingsError
from langfield.evaluate.labels import read_labels
from langfield.segment.langsplat import from_langsplat, read_langsplat
from langfield.segment.store import check_segments

SURVEY = Survey(60, (80, 60), 5)
SIZE = (80, 60)


@pytest.fixture(scope="module")
def photos():
    town = SURVEY.town()
    return [take(town, SURVEY.view(i)) for i in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("town")
    main(Options(out=out, photos=12, width=80, height=60, features=True, labels=3))
    return out


def holds(shapes: Shapes, points: np.ndarray) -> np.ndarray:
    """Tell which shapes hold which points [P, M], by their definition."""
    away = points[None] - shapes.centre[:, None]
    c, s = shapes.turn[:, :1], shapes.turn[:, 1:]
    local = np.stack([c * away[..., 0] + s * away[..., 1], c * away[..., 1] - s * away[..., 0], away[..., 2]], -1)
    local /= shapes.half[:, None]
    return np.where((shapes.form == BOX)[:, None], np.abs(local).max(-1) <= 1, (local**2).sum(-1) <= 1)


def test_before_the_depth_is_air_and_behind_it_the_shape():
    town, view = SURVEY.town(), SURVEY.view(7)
    shapes = joined([cell.shapes for cell in town.around(np.array([-20.0, -20.0]), np.array([70.0, 70.0]))])
    hits = cast(shapes, view.pose, view.focal, SIZE)
    directions = rays(view.pose, view.focal, SIZE)
    rng = np.random.default_rng(0)
    for y, x in zip(rng.integers(0, 60, 60), rng.integers(0, 80, 60), strict=True):
        depth, shape = hits.depth[y, x], hits.shape[y, x]
        along = np.append(np.linspace(0.5, depth - 1e-6, 200), depth + 1e-6)
        inside = holds(shapes, view.pose[:3, 3] + along[:, None] * directions[y, x])
        assert not inside[:, :-1].any()
        assert shape == -1 or inside[shape, -1]
        assert shape >= 0 or abs(hits.position[y, x, 2]) < 1e-9


def near_around(depth: np.ndarray) -> np.ndarray:
    """Give the least depth in each pixel's neighbourhood: nothing that is nearer may be there."""
    return -cv2.dilate(-depth, np.ones((3, 3), np.uint8))


def test_photos_agree_on_what_is_where(photos):
    through, equal, same_id = [], [], []
    for one, other in ((a, b) for a in photos for b in photos if a is not b):
        points = one.view.pose[:3, 3] + rays(one.view.pose, one.view.focal, SIZE) * one.depth[..., None]
        seen = (points.reshape(-1, 3) - other.view.pose[:3, 3]) @ other.view.pose[:3, :3]
        at = np.stack([seen[:, 0], -seen[:, 1]], 1) * other.view.focal / -seen[:, 2:] + np.array(SIZE) / 2
        ahead = (seen[:, 2] < -0.2) & (at >= 0).all(1) & (at < SIZE).all(1)
        column, row = np.floor(at[ahead]).astype(int).T
        depth = -seen[ahead, 2]
        through.append(depth < near_around(other.depth)[row, column] - 0.15)
        equal.append(np.abs(depth - other.depth[row, column]) < 0.01)
        same_id.append((one.ids.reshape(-1)[ahead] == other.ids[row, column])[equal[-1]])
    assert np.concatenate(through).mean() < 0.01
    assert np.concatenate(equal).sum() > 4_000
    assert np.concatenate(same_id).mean() > 0.99


def test_a_photo_depends_on_its_number_alone(photos):
    again = take(SURVEY.town(), SURVEY.view(9))
    assert np.array_equal(again.picture, photos[9].picture)
    assert np.array_equal(again.ids, photos[9].ids)
    assert not np.array_equal(photos[8].picture, photos[9].picture)


def test_every_id_has_one_name_and_all_fit_sixteen_bits(photos):
    names = SURVEY.town().names()
    for photo in photos:
        for thing in np.unique(photo.ids[photo.ids > 0]):
            assert photo.names[int(thing)] == names[int(thing)]
    assert Survey(20_000, SIZE, 0).town().most_id < 2**16


def test_features_are_exact(photos):
    vectors = Vectors()
    for photo in photos[:4]:
        segments, rows = features(photo, vectors)
        check_segments(segments)
        whole = segments.ids[2]
        assert np.array_equal(whole >= 0, photo.ids > 0)
        for row in np.unique(whole[whole >= 0]):
            assert len(np.unique(photo.ids[whole == row])) == 1
            thing = int(photo.ids[whole == row][0])
            assert rows[row] == pytest.approx(vectors.of(photo.names[thing]))
            y, x = np.nonzero(whole == row)
            assert segments.boxes[row].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            parts = np.unique(segments.ids[1][whole == row])
            assert (segments.ids[1][np.isin(segments.ids[1], parts)] >= 0).all()
            assert np.isin(photo.ids[np.isin(segments.ids[1], parts)], thing).all()  # pieces lie inside their thing


def test_names_that_share_words_are_alike():
    of = Vectors().of
    assert of("red car") @ of("blue car") > of("red car") @ of("fountain") > 0.1
    assert np.linalg.norm(of("red car")) == pytest.approx(1)


def test_it_is_a_capture(folder):
    capture = read_capture(folder)
    assert (len(capture.frames), capture.unit) == (12, "metre")
    # start points lie where a photo sees them or behind that
    frame, survey = capture.frames[4], Survey(12, SIZE, 11)
    photo = take(survey.town(), survey.view(4))
    pose = frame.camera.T_world_camera
    seen = (capture.points.xyz.double() - pose[:3, 3]) @ pose[:3, :3]
    at = seen @ frame.camera.K.T
    at = at[:, :2] / at[:, 2:]
    ahead = (seen[:, 2] > 0.2) & (at > 1).all(1) & (at < torch.tensor(SIZE) - 1).all(1)
    x, y = at[ahead].long().T.numpy()
    off = seen[ahead, 2].numpy() - near_around(photo.depth)[y, x]
    assert len(off) > 300
    assert (off < -0.3).mean() < 0.01
    assert (np.abs(off) < 0.5).mean() > 0.3
    assert np.array_equal(np.asarray(Image.open(folder / "masks" / "town_00004.png")), photo.ids)


def test_labels_and_features_are_read_back(folder):
    queries = read_labels(folder / "label", read_capture(folder).frames).queries
    assert len({query.frame for query in queries}) == 3
    assert {query.text for query in queries} <= set(json.loads((folder / "names.json").read_text()).values())
    segments, rows = from_langsplat(*read_langsplat(folder / "language_features", "town_00003"))
    assert segments.ids.shape == (3, 60, 80)
    assert np.linalg.norm(rows.astype(float), axis=1) == pytest.approx(1, abs=1e-2)


def test_what_is_there_is_kept_and_what_is_gone_comes_back(folder):
    kept, gone = (folder / "images" / f"{files.name(i)}.jpg" for i in (2, 3))
    before, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    main(Options(out=folder, photos=12, width=80, height=60, labels=3, first=2, last=4))
    assert gone.read_bytes() == before
    assert kept.stat().st_mtime_ns == stamp


def test_too_many_photos_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="20,000"):
        main(Options(out=tmp_path, photos=20_001))
