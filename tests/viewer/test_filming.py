"""Videos: paths pass where they should, pictures show the page's colours with the words in them, the file plays."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np

from langfield.viewer import session
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.cameras import Pose
from langfield.viewer.filming import burn_in, camera_at, draw, film, path_around, path_through
from tests.viewer.scene import balls, made_up_run

A = Pose(np.array([3.0, 0.0, 1.0]), np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.8)
B = Pose(np.array([0.0, 3.0, 2.0]), np.array([0.1, 0.0, 0.0]), np.array([0.0, 0.0, 1.0]), 0.6)


def test_a_path_passes_its_places_and_a_turn_keeps_its_distance():
    through = path_through([A, B, A], per_leg=10)
    np.testing.assert_allclose(through[0].position, A.position)
    np.testing.assert_allclose(through[10].position, B.position)
    np.testing.assert_allclose(through[-1].position, A.position)
    steps = np.linalg.norm(np.diff([p.position for p in through], axis=0), axis=1)
    assert steps.max() < 2 * np.linalg.norm(A.position - B.position) / 10
    around = path_around(A, 12)
    np.testing.assert_allclose([np.linalg.norm(p.position - A.look_at) for p in around], np.sqrt(10))
    np.testing.assert_allclose([p.position[2] for p in around], 1.0)
    assert len({tuple(np.round(p.position, 6)) for p in around}) == 12


def test_a_place_looks_at_what_it_looks_at():
    camera = camera_at(A, 64, 48)
    ahead = camera.T_world_camera[:3, 2].numpy()
    np.testing.assert_allclose(ahead, -A.position / np.linalg.norm(A.position), atol=1e-9)
    assert camera.T_world_camera[2, 1] < 0  # the picture's down is the world's down
    np.testing.assert_allclose(np.linalg.det(camera.T_world_camera[:3, :3].numpy()), 1.0)


def test_a_film_shows_the_answer_and_the_question(tmp_path: Path):
    app = ViewerApp(made_up_run(path=tmp_path), ViewerSettings(port=0))
    app.start()
    try:
        app.ask("red ball")
        picture = draw(app.desk, camera_at(A, 160, 120))
        yellow = (picture[..., 0] > 180) & (picture[..., 1] > 160) & (picture[..., 2] < 110)
        assert yellow.sum() > 100
        rows = np.flatnonzero(balls()[1].numpy() == 1)
        app.desk.select(rows, "replace")
        app.desk.change(lambda d: session.edit(d, "hide"))
        hidden = draw(app.desk, camera_at(A, 160, 120)).astype(int)
        assert ((hidden[..., 0] > 180) & (hidden[..., 2] < 110)).sum() < 10
        app.desk.undo()
        file = film(app.desk, path_around(A), 0.5)
        assert file.is_relative_to(tmp_path / "exports")
        frames = iio.imread(file)
        assert frames.shape == (6, 480, 640, 3)
        strip = frames[0][-34:].astype(int)
        assert (strip.max(2) > 200).sum() > 100  # white letters
        assert (strip.max(2) < 60).mean() > 0.7  # on black
    finally:
        app.stop()


def test_words_of_any_length_fit():
    picture = np.full((60, 200, 3), 90, np.uint8)
    assert burn_in(picture, "") is picture
    for text in ("x", "<b>" * 200, "ä" * 500):
        out = burn_in(picture, text)
        assert out.shape == picture.shape
        assert (out[:26] == 90).all()
