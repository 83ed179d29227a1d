"""The time line: states of things as bands, what happens, a scene at another time; none where all stands still."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from langfield.errors import QueryError
from langfield.field.at_time import at_time
from langfield.run import Run, open_run
from langfield.suite.sentences import MiniLmSentences
from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.panels.select import look_of
from langfield.viewer.splats import SplatScene
from langfield.viewer.timeline import StateBand, Timeline, bands_html
from tests.events import STEP_S, TIMES, TURNS, event_field, event_run, sinking
from tests.suite.conftest import minilm, stored  # noqa: F401
from tests.tiny import ball_centres
from tests.viewer.browser import field_of, tab_of, until
from tests.viewer.scene import made_up_run
from tests.viewer.test_picking import place


@pytest.fixture(scope="module")
def run(tmp_path_factory, minilm) -> Run:  # noqa: F811
    encoder = MiniLmSentences(minilm)
    opened = open_run(event_run(tmp_path_factory.mktemp("run"), encoder))
    return Run(opened.path, opened.manifest, event_field(encoder, sinking()), opened.frames)


@pytest.fixture(scope="module")
def page(run):
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    yield app
    app.stop()


def buffers(scene: SplatScene) -> list[np.ndarray]:
    return [handle.buffer.copy() for handle in scene._handles]


def test_bands_are_the_states_with_their_captions(run):
    found = Timeline(run).bands(0)
    assert [b.name for b in found] == ["The red ball is lit.", "The red ball is off and dark."]
    truth = np.arange(TIMES) < TURNS["red ball"]
    assert (found[0].active == truth).all()
    assert (found[1].active == ~truth).all()
    assert [b.name for b in Timeline(run).bands(2)] == ["The blue ball stands on the table."]


def test_what_happens_is_in_the_order_of_time(run):
    line = Timeline(run)
    times = line.times_s
    late, early = times > 3.0, (times < 1.0) | (times > 4.0)
    found = line.happenings((StateBand("late", late, (1, 2, 3)), StateBand("early", early, (4, 5, 6))))
    assert [(h.text, h.time_s) for h in found] == [("early", 0.0), ("late", 3.25), ("early", 4.25)]


def test_selections_belong_to_the_thing_that_most_of_them_make(run):
    line = Timeline(run)
    assert line.thing_of(np.arange(250, 500)) == 1
    assert line.thing_of(np.r_[0:100, 250:500]) == 1
    assert line.thing_of(np.arange(800, 900)) is None  # the table
    assert line.thing_of(np.zeros(0, np.int64)) is None
    assert line.rows_of(1).tolist() == list(range(250, 500))


def test_what_is_said_is_shown_and_never_interpreted():
    on = np.array([True, False, True])
    drawn = bands_html(np.array([0.0, 1.0, 2.0]), [StateBand("<b>lit</b>", on, (1, 2, 3))], 1.0)
    assert "<b>" not in drawn
    assert drawn.count("background:rgb(1, 2, 3)") == 2
    assert "left:50.00%;width:2px" in drawn


def test_the_page_shows_the_scene_of_the_time(page, run):
    page.panels.time.go_to(STEP_S * 10)
    moved = buffers(page.scene)
    fresh = SplatScene(page._started(), run.field.gaussians, "/other")
    fresh.become(at_time(run.field, STEP_S * 10).gaussians)
    fresh.paint(fresh.rgb)
    assert all(np.array_equal(a, b) for a, b in zip(moved, buffers(fresh), strict=True))
    fresh.remove()
    page.panels.time.go_to(0.0)
    assert any(not np.array_equal(a, b) for a, b in zip(moved, buffers(page.scene), strict=True))


def test_a_question_lights_its_thing_and_goes_to_its_time(page):
    panel = page.panels.time
    panel.ask("When has the red ball gone out?")
    assert panel.now_s == pytest.approx(STEP_S * TURNS["red ball"], abs=0.01)
    assert page.desk.document.selection.tolist() == list(range(250))
    assert "found" in panel.answer.content
    assert len(panel.events.options) == 2
    panel.ask("the red ball is folded")
    assert "never" in panel.answer.content
    page.desk.select(np.arange(250, 500), "replace")
    assert "green ball" in panel.bands.content
    assert panel.events.options[1].endswith("The green ball is whole.")


def test_an_answer_stays_whatever_is_said_before_its_thing_is_selected(page, monkeypatch):
    panel, desk, select = page.panels.time, page.desk, page.desk.select
    desk.select(np.arange(250, 500), "replace")

    other = threading.Thread(target=lambda: desk.tell(""))

    def later(rows, how):
        other.start()
        other.join(0.5)
        select(rows, how)

    monkeypatch.setattr(desk, "select", later)
    panel.ask("When has the red ball gone out?")
    other.join()
    assert "found" in panel.answer.content


def test_a_scene_that_stands_still_has_no_time_line():
    still = made_up_run(path=Path("nowhere"))
    line = Timeline(still)
    assert not line.moves
    assert not line.knows_states
    assert line.bands(0) == ()
    assert line.thing_of(np.arange(5)) is None
    with pytest.raises(QueryError, match="no states"):
        line.ask("anything")


def test_playing_can_be_stopped(page):
    panel = page.panels.time
    panel.start_or_stop()
    assert panel.play.label == "Stop"
    panel.start_or_stop()
    for thread in panel.players:
        thread.join(timeout=30)
    assert panel.play.label == "Play"


def test_a_person_plays_scrubs_asks_when_and_clicks_what_moved(page, browser):
    panel, desk, last_s = page.panels.time, page.desk, STEP_S * (TIMES - 1)
    panel.go_to(0.0)
    desk.select(np.zeros(0, int), "replace")
    with tab_of(browser, 760, 480) as tab:
        tab.goto(page.url)
        tab.get_by_role("tab", name="Time").click()
        tab.get_by_role("button", name="Play").click()
        until(lambda: panel.now_s > 0.0)
        tab.get_by_role("button", name="Stop").click()
        until(lambda: not any(thread.is_alive() for thread in panel.players))

        tab.get_by_role("slider").first.press("End")
        until(lambda: desk.time_s == pytest.approx(last_s))
        field_of(tab, "When").last.fill("When has the red ball gone out?")
        field_of(tab, "When").last.press("Enter")
        tab.get_by_text("The red ball: found, 2.00 to 4.75 s").wait_for()
        until(lambda: desk.time_s == pytest.approx(STEP_S * TURNS["red ball"], abs=0.01), lambda: desk.time_s)
        tab.get_by_text("now 2.00 s", exact=True).wait_for()  # of the axis below the bands

        tab.get_by_role("slider").first.press("End")
        until(lambda: desk.time_s == pytest.approx(last_s))
        look, box = look_of(page._server.get_clients()[max(page._server.get_clients())]), _canvas(tab)
        across, down = place(look, ball_centres()[1] - [0, 0, 0.8])
        tab.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"], delay=150)
        until(lambda: desk.document.selection.tolist() == list(range(250, 500)), lambda: desk.document.selection)
        tab.get_by_text("The green ball is whole.").first.wait_for()
        event = panel.events.options[-1]
        field_of(tab, "Go to").click()
        tab.get_by_role("option", name=event).click()
        until(lambda: desk.time_s == pytest.approx(float(event.split()[0]), abs=0.01))


def _canvas(tab):
    return tab.locator("canvas").first.bounding_box()
