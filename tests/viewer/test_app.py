"""The page as a whole: it is served to this machine only, answers, and outlives errors."""

import http.client
import ipaddress
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from langfield.errors import EnvironmentProblem, LangfieldError, SettingsError
from langfield.viewer.app import ViewerApp, ViewerSettings, check_address, check_viser, invitation, is_loopback
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


def test_a_question_recolours_only_the_right_ball(app: ViewerApp):
    _, kind = balls()
    app.panel.clear()
    before = app.scene.shown
    assert np.array_equal(before, app.scene.rgb)
    app.ask("green ball")
    after = app.scene.shown
    lit = np.abs(after.astype(int) - after.mean(1, keepdims=True)).max(1) > 10
    assert np.array_equal(lit, (kind == 2).numpy())
    assert app.panel.mode.value == "relevancy"
    text = app.panel.result.content
    for word in ("green ball", "whole", "made-up pictures", "made-up (text)", "1500 at or above", "view_0"):
        assert word in text
    assert app.panel.legend.visible
    app.panel.clear()
    assert np.array_equal(app.scene.shown, before)
    assert not app.panel.legend.visible


def test_geometry_stays_as_it_was_sent(app: ViewerApp):
    handle = app.scene._handle
    centres, covariances = handle.centers.copy(), handle.covariances.copy()
    app.ask("red ball")
    assert np.array_equal(handle.centers, centres)
    assert np.array_equal(handle.covariances, covariances)


def test_the_threshold_decides_what_is_coloured(app: ViewerApp):
    app.ask("blue ball")
    app.panel.threshold.value = 1.0
    grey = app.scene.shown
    assert (grey == grey[:, :1]).all()
    assert "0 at or above" in app.panel.result.content
    app.panel.threshold.value = 0.0
    assert f"{len(grey)} at or above" in app.panel.result.content


def test_level_and_modes_can_be_changed_after_asking(app: ViewerApp):
    app.ask("red ball")
    whole = app.panel._shown
    app.panel.level.value = "part"
    assert whole is not None
    assert app.panel._shown is not None
    assert app.panel._shown.level == 1
    assert app.panel._shown.score < whole.score
    app.panel.mode.value = "language"
    assert len(np.unique(app.scene.shown, axis=0)) >= 4
    app.panel.mode.value = "RGB"
    assert np.array_equal(app.scene.shown, app.scene.rgb)
    app.panel.level.value = "auto"


@pytest.mark.parametrize(
    ("question", "sentence"),
    [("", "question is empty"), ("x" * 513, "513 characters"), ("boom", "RuntimeError"), ("a\x00b", "control")],
)
def test_a_question_that_fails_is_answered_in_a_sentence(app: ViewerApp, question: str, sentence: str):
    app.ask(question)
    assert sentence in app.panel.result.content
    app.ask("red ball")
    assert "Found." in app.panel.result.content
    assert status(app, "/")[0] == 200


def test_words_and_errors_are_shown_not_interpreted(app: ViewerApp):
    app.ask("<img src=x onerror=alert(1)> [a](javascript:b)")
    assert "<img" not in app.panel.result.content
    assert "&lt;img" in app.panel.result.content
    app.ask("boom")
    assert "<b>boom" not in app.panel.result.content


def test_what_is_absent_is_said_with_caution(app: ViewerApp):
    app.ask("unicorn")
    assert "May not be in this scene" in app.panel.result.content


def test_a_run_without_language_is_shown_and_says_so():
    page = ViewerApp(made_up_run(with_language=False), ViewerSettings(port=0))
    page.start()
    try:
        page.ask("red ball")
        assert "no language part" in page.panel.result.content
        page.panel.mode.value = "language"
        assert "no language part" in page.panel.result.content
        assert status(page, "/")[0] == 200
    finally:
        page.stop()


def test_the_invitation_names_tunnel_and_danger():
    local = "\n".join(invitation("http://127.0.0.1:7007", 7007, "127.0.0.1"))
    assert "ssh -L 7007:127.0.0.1:7007 " in local
    assert "WARNING" not in local
    assert "WARNING" in "\n".join(invitation("http://localhost:7007", 7007, "0.0.0.0"))  # noqa: S104
    assert ViewerSettings().host == "127.0.0.1"
    assert not ViewerSettings().allow_network
    assert all(is_loopback(h) for h in ("127.0.0.1", "::1", "localhost"))
    assert not any(is_loopback(h) for h in ("0.0.0.0", "10.0.0.1", "example"))  # noqa: S104


def test_an_unsafe_viser_or_a_foreign_address_is_refused():
    check_viser("1.1.1")
    check_viser("1.0.25")
    for old in ("0.2.7", "1.0.24"):
        with pytest.raises(EnvironmentProblem, match="every file"):
            check_viser(old)
    check_address("127.0.0.1")
    with pytest.raises(EnvironmentProblem, match="cannot listen"):
        check_address("192.0.2.1", allow_network=True)
    with pytest.raises(SettingsError, match="--allow-network"):
        check_address("0.0.0.0")  # noqa: S104
    with pytest.raises(LangfieldError, match="not running"):
        _ = ViewerApp(made_up_run(), ViewerSettings()).panel
