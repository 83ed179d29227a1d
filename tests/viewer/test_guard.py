"""Attacks on a live server: refused, said once, and it goes on answering."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.gate import Limits
from tests.viewer.scene import MadeUpRun
from tests.viewer.wire import CAMERA, drain, enter, greet, packed, say, until_closed


@pytest.fixture(scope="module")
def app(run: MadeUpRun) -> Iterator[ViewerApp]:
    page = ViewerApp(run, ViewerSettings(port=0, limits=Limits(clients=4)))
    page.start()
    yield page
    page.stop()


def raw(app: ViewerApp, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def alive(app: ViewerApp) -> bool:
    """Whether a well-behaved page still gets the scene."""
    with enter(app) as page:
        greet(page)
        return drain(page) > 32 * len(app.scene.rgb)


def test_the_scene_comes_with_the_key_only(app: ViewerApp):
    assert alive(app)
    for headers in ({"Cookie": ""}, {"Cookie": f"{app.gate.cookie}=guess"}, {"Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus) as caught, enter(app, headers=headers):
            pass
        assert caught.value.response.status_code == 403
    key = app.gate.issue("reader", 0)
    with pytest.raises(InvalidStatus), enter(app, key):
        pass
    with enter(app, headers={"Origin": ""}) as script:  # not a browser: the key is enough
        greet(script)
        assert drain(script) > 0


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example", ""])
def test_pages_are_served_by_this_name_only_and_to_the_key_only(app: ViewerApp, name: str):
    secret = app.gate.owner.secret
    for target, opens in ((f"/?token={secret}", True), ("/", False), (f"/?token={secret}x", False)):
        answer = raw(app, f"GET {target} HTTP/1.1\r\nHost: {name}:{app.port}\r\n\r\n".encode())
        served = answer.startswith(b"HTTP/1.1 200")
        assert served == (opens and name in ("127.0.0.1", "localhost"))
        assert (b"<html" in answer.lower()) == served
        assert secret.encode() not in answer.replace(b"Set-Cookie", b"", 1) or served
        if served:
            for header in (b"HttpOnly; SameSite=Strict", b"X-Frame-Options: DENY", b"frame-ancestors 'none'"):
                assert header in answer


TRAVERSALS = [
    "/../../../../../../etc/passwd", "/..%2f..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e/%252e%252e/etc/passwd", "/..\\..\\..\\etc\\passwd", "/..%5c..%5cetc%5cpasswd", "//etc/passwd",
    "/%c0%ae%c0%ae/etc/passwd", "/./././../../../../etc/passwd", "/etc/passwd%00.html", "/" + "../" * 60 + "etc/passwd",
    "/" + "a" * 7000, "/%2fetc%2fpasswd", "http://127.0.0.1/../../etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("target", TRAVERSALS)
def test_no_path_leads_to_the_disk(app: ViewerApp, target: str):
    for cookie in ("", f"Cookie: {app.gate.cookie}={app.gate.owner.secret}\r\n"):
        answer = raw(app, f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\n".encode())
        assert b"root:" not in answer
        assert not answer.startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize(
    "request_line",
    [b"", b"\x00" * 4000, b"GET", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n",
     b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello",
     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
     b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + b"x" * 9000 + b"\r\n\r\n"],
)  # fmt: skip
def test_garbage_is_not_served(app: ViewerApp, request_line: bytes):
    with socket.create_connection(("127.0.0.1", app.port), timeout=10) as connection:
        connection.sendall(request_line)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert not answer.startswith(b"HTTP/1.1 2")
    assert alive(app)


def test_too_many_pages_are_refused(app: ViewerApp):
    pages = [enter(app) for _ in range(4)]
    for _ in range(16):
        with pytest.raises((InvalidStatus, ConnectionClosed)), enter(app) as one_more:
            one_more.recv(timeout=5)
    for page in pages:
        page.close()
    end = time.monotonic() + 10
    while app.gate.inside and time.monotonic() < end:
        time.sleep(0.02)
    assert alive(app)


def test_a_message_of_ten_megabytes_ends_its_connection_only(app: ViewerApp):
    with enter(app) as bystander:
        greet(bystander)
        drain(bystander)
        with enter(app) as attacker:
            assert until_closed(attacker, packed("GuiUpdateMessage", uuid="u", updates={"value": "x" * 10_000_000}))
        greet(bystander)
        assert bystander.close_code is None
    assert alive(app)


def test_messages_no_page_sends_end_the_connection(app: ViewerApp):
    for message in (b"\xc1\xc1", b"", packed("RunJavascriptMessage", source="x"), packed("Message"), "text"):
        with enter(app) as attacker:
            assert until_closed(attacker, message)
    assert alive(app)


def test_a_reader_changes_nothing(app: ViewerApp):
    assert app.panels is not None
    mode = app.panels.show.mode
    before = mode.value, app.scene.shown
    with enter(app, app.gate.issue("reader", 5)) as reader:
        greet(reader)
        assert drain(reader) > 32 * len(app.scene.rgb)
        say(reader, {"type": "GuiUpdateMessage", "uuid": mode._impl.uuid, "updates": {"value": "language"}})
        drain(reader)
        assert mode.value == before[0]
        assert np.array_equal(app.scene.shown, before[1])
    with enter(app) as owner:
        greet(owner)
        drain(owner)
        say(owner, {"type": "GuiUpdateMessage", "uuid": mode._impl.uuid, "updates": {"value": "language"}})
        end = time.monotonic() + 10
        while mode.value != "language" and time.monotonic() < end:
            time.sleep(0.02)
        assert mode.value == "language"
    app.desk.clear()


def test_an_expired_link_ends_what_it_opened(app: ViewerApp):
    with enter(app, app.gate.issue("reader", 0.01)) as reader:
        assert until_closed(reader, packed(CAMERA))


def test_each_kind_of_refusal_is_said_once(app: ViewerApp, capsys: pytest.CaptureFixture[str]):
    app.gate.log.counts.clear()
    for _ in range(20):
        with pytest.raises(InvalidStatus), enter(app, headers={"Origin": "http://evil.example"}):
            pass
    told = capsys.readouterr().err
    assert told.count("another origin") == 1
    assert sum(app.gate.log.counts.values()) == 20
