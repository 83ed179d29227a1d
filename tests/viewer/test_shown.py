"""Clicks mean what the page shows: at its time, where things were moved to, through what is gone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from plyfile import PlyData

from langfield.field.at_time import at_time
from langfield.run import Run, open_run
from langfield.viewer import session
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.exports import Wanted, export_selection
from langfield.viewer.picking import in_rectangle, under_click
from langfield.viewer.rows import frozen
from langfield.viewer.session import Document, Edits
from langfield.viewer.shown import as_shown
from tests.events import STEP_S, TIMES, event_field, event_run, sinking
from tests.tiny import ball_centres, ring_camera, tiny_gaussians
from tests.viewer.test_picking import look_of, place

GAUSSIANS, THING = tiny_gaussians()
LOOK = look_of(ring_camera(0.0))
FRONT, BACK = 0, 1
RED = frozen(np.flatnonzero(THING == FRONT))
LAST_S = STEP_S * (TIMES - 1)
DEEP = np.array([0.0, 0.0, -0.8])


class Words:
    """An encoder of sentences that nobody asks."""

    name, dim, provenance = "none", 8, {"name": "none"}

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([len(t) % 8 for t in texts]), 8).float()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    opened = open_run(event_run(tmp_path_factory.mktemp("run"), Words()))  # pyright: ignore[reportArgumentType]
    return replace(opened, field=event_field(Words(), sinking()))  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def page(run: Run) -> Iterator[ViewerApp]:
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    yield app
    app.stop()


def at(point: np.ndarray) -> tuple[float, float]:
    """Where a point of the world is on the page, its side towards the eye."""
    toward = np.asarray(LOOK.position) - point
    return place(LOOK, point + 0.3 * toward / np.linalg.norm(toward))


def test_a_click_means_the_time_that_is_shown(page: ViewerApp):
    assert page.panels is not None
    first, sunk = at(ball_centres()[FRONT]), at(ball_centres()[FRONT] + DEEP)
    page.panels.time.go_to(0.0)
    page.panels.select.click(LOOK, first)
    assert page.desk.document.selection.tolist() == RED.tolist()
    page.desk.select(RED[:0], "replace")
    page.panels.time.go_to(LAST_S)
    page.panels.select.click(LOOK, sunk)
    assert page.desk.document.selection.tolist() == RED.tolist()
    assert under_click(page.desk.shown, LOOK, first) not in RED  # it has left
    page.panels.select.rectangle(LOOK, np.array([sunk]) + np.array([[-0.02], [0.02]]))
    assert np.isin(page.desk.document.selection, RED).mean() > 0.9


def test_questions_depth_and_places_mean_the_time_that_is_shown(page: ViewerApp):
    assert page.panels is not None
    page.panels.time.go_to(0.0)
    high = page.desk.ground.middle(RED)
    page.desk.eye = np.array([0.0, 0.0, 0.3])
    page.desk.show_as("depth")
    before = page.scene.shown[RED]
    page.panels.time.go_to(LAST_S)
    low = page.desk.ground.middle(RED)
    assert high is not None
    assert low is not None
    np.testing.assert_allclose(np.subtract(low, high), DEEP, atol=0.02)
    assert (page.scene.shown[RED] != before).any()
    page.desk.show_as("RGB")


def test_an_export_is_of_the_time_that_is_shown(run: Run, tmp_path: Path):
    here = replace(run, path=tmp_path)
    folder = export_selection(here, RED, Edits(), Wanted("red", masks=False, time_s=LAST_S))
    vertex = PlyData.read(str(folder / "selection.ply"))["vertex"]
    moved = at_time(run.field, LAST_S).gaussians.means[RED.copy(), 2]
    np.testing.assert_allclose(vertex["z"], moved, atol=1e-5)
    early = export_selection(replace(here, frames=here.frames[:1]), RED, Edits(), Wanted("early", time_s=LAST_S))
    assert len(list((early / "masks").iterdir())) == 1


def test_a_click_goes_through_what_is_gone_and_follows_what_was_moved():
    behind = session.select(Document(len(GAUSSIANS)), RED)
    hit = at(ball_centres()[FRONT])
    assert under_click(as_shown(GAUSSIANS, Edits()), LOOK, hit) in RED
    for what in ("hide", "delete"):
        gone = session.edit(behind, what).edits
        row = under_click(as_shown(GAUSSIANS, gone), LOOK, hit)
        assert row is None or row not in RED
    up = as_shown(GAUSSIANS, session.move(behind, (0.0, 0.0, 0.7)).edits)
    assert under_click(up, LOOK, at(ball_centres()[FRONT] + [0.0, 0.0, 0.7])) in RED
    gone = as_shown(GAUSSIANS, session.edit(behind, "hide").edits)
    assert not np.isin(in_rectangle(gone, LOOK, np.array([[0.0, 0.0], [1.0, 1.0]]), through=True), RED).any()
