"""Clicks on things the field knows, on codes of a codebook, on nothing; asking for more of what was clicked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.errors import LangfieldError
from langfield.field.instances import Instances
from langfield.viewer import picking
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.measure import THINGS, made_up
from langfield.viewer.panels.select import SelectPanel
from tests.viewer.scene import CENTRES, balls, made_up_run, meaning, orbit
from tests.viewer.test_picking import look_of, place

KIND = balls()[1].numpy()


def known_things() -> Instances:
    """The three balls, and the green and blue one together, largest first."""
    groups = [np.flatnonzero(KIND >= 2), *(np.flatnonzero(k == KIND) for k in (1, 2, 3))]
    first = torch.tensor([0, *np.cumsum([len(g) for g in groups])])
    vectors = torch.stack([meaning(""), *(meaning(n) for n in ("red ball", "green ball", "blue ball"))])
    rows = torch.from_numpy(np.concatenate(groups).astype(np.int32))
    count = torch.ones(4, dtype=torch.int32)
    return Instances(vectors.half(), count, torch.tensor([0.1, 1, 1, 1]), first, rows, torch.zeros(0, 3).int())


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewerApp]:
    run = made_up_run(path=tmp_path_factory.mktemp("run"))
    run = dataclasses.replace(run, field=dataclasses.replace(run.field, instances=known_things()))
    page = ViewerApp(run, ViewerSettings(port=0))
    page.start()
    yield page
    page.stop()


def panel(app: ViewerApp) -> SelectPanel:
    assert app.panels is not None
    return app.panels.select


def click(app: ViewerApp, ball: int) -> None:
    look = look_of(orbit()[{1: 0, 2: 3, 3: 7}[ball]].camera)
    toward = np.asarray(look.position) - CENTRES[ball - 1].numpy()
    panel(app).click(look, place(look, CENTRES[ball - 1].numpy() + 0.2 * toward / np.linalg.norm(toward)))


def test_a_click_takes_the_thing_and_the_next_one_the_larger(app: ViewerApp):
    click(app, 2)
    assert np.array_equal(app.desk.document.selection, np.flatnonzero(KIND == 2))
    click(app, 2)
    assert np.array_equal(app.desk.document.selection, np.flatnonzero(KIND >= 2))
    panel(app).how.value = "add"
    click(app, 1)
    assert np.array_equal(app.desk.document.selection, np.flatnonzero(KIND >= 1))
    panel(app).how.value = "replace"
    app.desk.undo()
    assert np.array_equal(app.desk.document.selection, np.flatnonzero(KIND >= 2))


def test_more_of_what_was_clicked(app: ViewerApp):
    click(app, 3)
    panel(app).ask_like()
    query = app.desk.document.query
    assert query is not None
    assert not query.in_words
    assert set(KIND[query.thing.rows]) == {3}
    assert query.presence > 0.9
    app.desk.set_negatives(["stuff"])  # asked by example: stays as it is
    assert app.desk.document.query is query
    app.desk.set_negatives([])


def test_things_have_colours_of_their_own(app: ViewerApp):
    app.desk.clear()
    app.desk.select(np.zeros(0, int), "replace")
    app.desk.show_as("instances")
    shown = app.scene.shown
    assert all(len(np.unique(shown[k == KIND], axis=0)) == 1 for k in range(4))
    assert len(np.unique(shown, axis=0)) == 4
    app.desk.clear()


def test_growing_and_shrinking_follow_the_selection(app: ViewerApp):
    ball = np.flatnonzero(KIND == 1)
    app.desk.select(ball, "replace")
    panel(app).step(picking.grow)
    grown = app.desk.document.selection
    assert set(ball) < set(grown)
    panel(app).step(picking.shrink)
    assert set(app.desk.document.selection) < set(grown)
    app.desk.select(grown[:0], "replace")
    panel(app).step(picking.grow)
    assert not len(app.desk.document.selection)
    with pytest.raises(LangfieldError, match="nothing was asked"):
        panel(app).select_lit()


def test_codes_of_a_codebook_are_alike_and_coloured(tmp_path: Path):
    run = made_up(4000, tmp_path)
    page = ViewerApp(run, ViewerSettings(port=0))
    page.start()
    try:
        page.ask("thing 3")
        query = page.desk.document.query
        assert query is not None
        assert len(query.thing.rows) > 20
        row = int(query.thing.rows[0])
        same = page.desk.asker.alike(row, 2)
        assert (page.desk.asker.ground.means[same] - page.desk.asker.ground.means[row]).max() < 1.0
        page.desk.show_as("language")
        assert THINGS // 2 < len(np.unique(page.scene.shown, axis=0)) <= THINGS + 1
    finally:
        page.stop()
