"""The page as a whole: it is served to this machine only, answers, and outlives errors."""

import http.client
import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from langfield.errors import LangfieldError
from langfield.viewer.app import ViewerApp, ViewerSettings
from tests.viewer.scene import MadeUpRun, balls, made_up_run


@pytest.fixture(scope="module")
def app(run: MadeUpRun) -> Iterator[ViewerApp]:
    page = ViewerApp(run, ViewerSettings(port=0))
    page.start()
    yield page
    page.stop()


def status(app: ViewerApp, target: str) -> tuple[int, bytes]:
    """The answer to a raw request line (http.client would tidy the path)."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        cookie = f"{app.gate.cookie}={app.gate.owner.secret}"
        request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


def test_the_page_is_served(app: ViewerApp):
    code, body = status(app, "/")
    assert code == 200
    assert b"<html" in body[:2000].lower()


@pytest.mark.parametrize(
    "target", ["/../../../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd"]
)
def test_nothing_else_of_the_disk_is_served(app: ViewerApp, target: str):
    code, body = status(app, target)
    assert b"root:" not in body
    assert code in (400, 403, 404)


def test_only_this_machine_is_listened_to(app: ViewerApp):
    table = Path("/proc/net/tcp").read_text()
    listening = re.findall(r"^\s*\d+: ([0-9A-F]{8}):([0-9A-F]{4}) 00000000:0000 0A", table, re.M)
    hosts = {bytes.fromhex(host)[::-1] for host, port in listening if int(port, 16) == app.port}
    assert hosts
    assert all(ipaddress.ip_address(h).is_loopback for h in hosts)


def test_the_public_tunnel_stays_shut(app: ViewerApp):
    assert app._server is not None
    assert app._server.request_share_url() is None
    assert app._server._share_tunnel is None


def lit(app: ViewerApp) -> np.ndarray:
    """Rows that are coloured, not grey."""
    shown = app.scene.shown.astype(int)
    return np.flatnonzero(np.abs(shown - shown.mean(1, keepdims=True)).max(1) > 10)


def words(app: ViewerApp) -> str:
    """What the page says."""
    assert app.panels is not None
    return app.panels.status.message.content + app.panels.ask.answers.content


def test_a_question_recolours_only_the_right_ball(app: ViewerApp):
    _, kind = balls()
    app.desk.clear()
    before = app.scene.shown
    assert np.array_equal(before, app.scene.rgb)
    app.ask("green ball")
    assert np.array_equal(lit(app), np.flatnonzero(kind.numpy() == 2))
    assert app.desk.mode == "relevancy"
    for word in ("green ball", "whole", "made-up pictures", "made-up (question)", "1500 at or above", "view_0"):
        assert word in words(app)
    assert app.panels is not None
    assert app.panels.show.legend.visible
    app.desk.clear()
    assert np.array_equal(app.scene.shown, before)
    assert not app.panels.show.legend.visible


def test_several_questions_have_a_colour_each(app: ViewerApp):
    _, kind = balls()
    app.desk.clear()
    app.desk.beside = True
    for name in ("red ball", "green ball", "unicorn"):
        app.ask(name)
    app.desk.beside = False
    assert set(kind[lit(app)].tolist()) == {1, 2}
    hues = [app.scene.shown[kind.numpy() == k].astype(float).mean(0) for k in (1, 2)]
    assert np.abs(hues[0] - hues[1]).max() > 60
    assert all(f"“{name}”" in words(app) for name in ("red ball", "green ball", "unicorn"))
    assert "Not in this scene" in words(app)
    app.desk.activate(0)
    app.desk.tune(1.0, None)
    assert set(kind[lit(app)].tolist()) == {2}
    app.desk.undo()
    assert set(kind[lit(app)].tolist()) == {1, 2}


def test_the_threshold_decides_what_is_coloured_and_undo_brings_it_back(app: ViewerApp):
    app.desk.clear()
    app.ask("blue ball")
    before = app.scene.shown
    for value in (0.7, 0.9, 1.0):
        app.desk.tune(value, None)
    assert not len(lit(app))
    assert "0 at or above" in words(app)
    assert app.panels is not None
    assert app.panels.show.threshold.value == 1.0
    app.desk.undo()
    assert np.array_equal(app.scene.shown, before)
    app.desk.tune(0.0, None)
    assert f"{len(before)} at or above" in words(app)


def test_level_and_modes_can_be_changed_after_asking(app: ViewerApp):
    app.ask("red ball")
    whole = app.desk.document.query
    app.desk.tune(None, 1)
    part = app.desk.document.query
    assert whole is not None
    assert part is not None
    assert part.level == 1
    assert part.thing.score < whole.thing.score
    app.desk.show_as("language")
    assert len(np.unique(app.scene.shown, axis=0)) >= 4
    app.desk.show_as("RGB")
    assert np.array_equal(app.scene.shown, app.scene.rgb)
    app.desk.eye = np.array([0.0, 0.0, 9.0])
    app.desk.show_as("depth")
    heights, bright = balls()[0].means[:, 2].numpy(), app.scene.shown.sum(1).astype(float)
    assert bright[heights > 0.4].mean() > bright[heights < 0.05].mean()


def test_nothing_is_sent_that_did_not_change(app: ViewerApp):
    app.desk.clear()
    app.ask("red ball")
    before = app.scene.sent_bytes
    app.ask("red ball")
    app.desk.refresh()
    assert app.scene.sent_bytes == before
    app.ask("blue ball")
    assert 0 < app.scene.sent_bytes - before < 32 * len(app.scene.rgb)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [("", "question is empty"), ("x" * 513, "513 characters"), ("boom", "RuntimeError"), ("a\x00b", "control"),
     ("|".join("abc" for _ in range(3)) + "|" + "x" * 600, "600 characters")],
)  # fmt: skip
def test_a_question_that_fails_is_answered_in_a_sentence(app: ViewerApp, question: str, sentence: str):
    app.ask(question)
    assert sentence in words(app)
    app.ask("red ball")
    assert "Found:" in words(app)
    assert status(app, "/")[0] == 200


HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:b) <b>"


def test_words_and_errors_are_shown_not_interpreted(app: ViewerApp):
    app.ask(HOSTILE)
    app.desk.select(np.array([1]), "replace")
    app.desk.keep_selection(HOSTILE)
    app.desk.tell(HOSTILE)
    assert app.panels is not None
    contents = [words(app), app.panels.select.status.content, app.panels.show.legend.content]
    assert not any("<img" in c for c in contents)
    assert "&lt;img" in contents[0]
    app.ask("boom")
    assert "<b>boom" not in words(app)
    app.desk.forget_selection(HOSTILE)


def test_a_run_without_language_is_shown_and_says_so(tmp_path: Path):
    page = ViewerApp(made_up_run(False, tmp_path), ViewerSettings(port=0))
    page.start()
    try:
        page.ask("red ball")
        assert "no language part" in words(page)
        page.desk.guarded(lambda: page.desk.show_as("language"))
        assert "no language part" in words(page)
        page.desk.guarded(lambda: page.desk.show_as("instances"))
        assert "does not know its things" in words(page)
        assert status(page, "/")[0] == 200
    finally:
        page.stop()


def test_a_page_that_is_not_served_has_no_desk():
    with pytest.raises(LangfieldError, match="not running"):
        _ = ViewerApp(made_up_run(), ViewerSettings()).desk
