"""Many at once: a flood leaves a well-behaved page served, pages that ask for hours leave the server as it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.measure import measure_viewer
from tests.series import FULL
from tests.viewer.browser import until
from tests.viewer.scene import NAMES, MadeUpRun
from tests.viewer.wire import drain, enter, greet, packed


@pytest.fixture
def app(run: MadeUpRun) -> Iterator[ViewerApp]:
    page = ViewerApp(run, ViewerSettings(port=0))
    page.start()
    page.ask("red ball")
    yield page
    page.stop()


def form(app: ViewerApp) -> tuple[str, str]:
    """Identities of the text box and of its form, as a page learns them."""
    assert app.panels is not None
    return app.panels.ask.text._impl.uuid, app.panels.ask.form._impl.uuid


def test_a_page_asks_over_the_wire(app: ViewerApp):
    box, sheet = form(app)
    with enter(app) as page:
        greet(page)
        drain(page)
        page.send(packed("GuiUpdateMessage", uuid=box, updates={"value": "blue ball"}))
        page.send(packed("GuiFormSubmitMessage", uuid=sheet))
        until(lambda: app.desk.document.queries[0].text == "blue ball")


def test_a_flood_of_questions_is_refused_and_the_others_are_served(app: ViewerApp):
    """One page submits 200 questions a second for two seconds; at most ten a second are begun, the other page works."""
    box, sheet = form(app)
    stop, begun = threading.Event(), app.newest.done
    start = time.monotonic()

    def flood() -> None:
        with enter(app) as attacker:
            greet(attacker)
            try:
                while not stop.is_set():
                    attacker.send(packed("GuiFormSubmitMessage", uuid=sheet))
                    time.sleep(1 / 200)
            except ConnectionClosed:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with enter(app) as page:
            greet(page)
            for name in NAMES[1:] * 2:
                page.send(packed("GuiUpdateMessage", uuid=box, updates={"value": name}))
                page.send(packed("GuiFormSubmitMessage", uuid=sheet))
                until(lambda name=name: app.desk.document.queries[0].text == name)
        until(lambda: time.monotonic() - start > 2)
    finally:
        stop.set()
        thread.join()
    seconds = time.monotonic() - start
    assert app.gate.log.counts["too many questions a second"] > 50
    assert app.newest.wait(60)
    assert app.newest.done - begun <= 12 * seconds + 30


def test_of_200_questions_at_once_those_beyond_the_rate_are_refused(app: ViewerApp, capsys: pytest.CaptureFixture[str]):
    """What passes and what is refused add up; each reason is said once; the next page asks as if nothing had been."""
    box, sheet = form(app)
    refused, start = app.gate.log.counts.total(), time.monotonic()
    with enter(app) as attacker:
        greet(attacker)
        until(lambda: app.traffic.received > 0)
        taken = app.traffic.received
        for _ in range(200):
            attacker.send(packed("GuiFormSubmitMessage", uuid=sheet))
        until(lambda: app.gate.log.counts.total() - refused + app.traffic.received - taken == 200)
        passed = app.traffic.received - taken
        assert 10 <= passed <= 10 + 10 * (time.monotonic() - start) + 1
    said = capsys.readouterr().err
    assert all(said.count(reason) == 1 for reason in app.gate.log.counts)
    counts = dict(app.gate.log.counts)
    with enter(app) as page:
        greet(page)
        for name in NAMES[1:]:
            page.send(packed("GuiUpdateMessage", uuid=box, updates={"value": name}))
            page.send(packed("GuiFormSubmitMessage", uuid=sheet))
            until(lambda name=name: app.desk.document.queries[0].text == name)
    assert app.gate.log.counts == counts


def test_garbage_from_one_page_does_not_reach_another(app: ViewerApp):
    dice = np.random.default_rng(0)
    with enter(app) as bystander:
        greet(bystander)
        drain(bystander)
        for _ in range(30):
            with enter(app) as attacker:
                try:
                    attacker.send(dice.integers(0, 256, int(dice.integers(1, 300)), dtype=np.uint8).tobytes())
                    attacker.recv(timeout=0.05)
                except (ConnectionClosed, TimeoutError):
                    pass
        greet(bystander)
        app.ask("green ball")
        assert drain(bystander) > 0
        assert bystander.close_code is None


WRONG = [True, None, "x", -5, 2**62, 1.5, [], {}, [1, 2, 3], "<b>", b"raw"]


def test_wrong_values_for_every_control_leave_the_page_working(app: ViewerApp):
    """Every control gets values of every kind, as a hostile page would send them."""
    assert app._server is not None
    handles = list(app._server.gui._gui_input_handle_from_uuid)
    with enter(app) as attacker:
        greet(attacker)
        for uuid in handles:
            for value in WRONG:
                attacker.send(packed("GuiUpdateMessage", uuid=uuid, updates={"value": value}))
                time.sleep(1 / 110)
        drain(attacker)
    app.desk.clear()
    app.ask("red ball")
    assert app.desk.document.query is not None
    assert app.desk.document.query.text == "red ball"
    with enter(app) as page:
        greet(page)
        assert drain(page) > 32 * len(app.scene.rgb)


def test_pages_that_ask_on_and_on(request: pytest.FixtureRequest, record_property):
    """Four pages and many questions: no error, and memory does not grow."""
    full = request.config.getoption("--series") == FULL
    found = measure_viewer(20_000 if full else 12_000, 5000 if full else 40, 4)
    for name, value in found.items():
        record_property(name, value)
    assert found["errors"] == 0
    assert found["bytes_a_question_p50"] < 32 * found["gaussians"]
    if full:
        assert found["memory_growth_percent"] <= 5
