"""The page's own script: every letter that is typed arrives, whatever follows it and however soon."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from langfield.viewer import page
from langfield.viewer.app import ViewerApp, ViewerSettings
from tests.viewer.browser import question_of, tab_of, until
from tests.viewer.scene import MadeUpRun

PAGE = b"<!doctype html><html><head><script>viser()</script></head><body></body></html>"


def answer(body: bytes, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, "", Headers({"Content-Length": str(len(body)), **named}), body)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_page_has_the_script_once_and_before_its_own(encoding):
    sent = gzip.compress(PAGE) if encoding == "gzip" else PAGE
    found = answer(sent, Content_Type="text/html", Content_Encoding=encoding)
    page.complete(found)
    body = bytes(found.body)
    assert found.headers.get_all("Content-Length") == [str(len(body))]
    plain = gzip.decompress(body) if encoding == "gzip" else body
    script = page.SCRIPT.read_bytes()
    assert plain.count(script) == 1
    assert plain.index(script) < plain.index(b"viser()")
    assert plain.replace(b"<script>" + script + b"</script>", b"") == PAGE


def test_what_is_no_page_stays_as_it_is():
    for found in (answer(PAGE, 404, Content_Type="text/html"), answer(PAGE, Content_Type="image/png"), answer(PAGE)):
        page.complete(found)
        assert found.body == PAGE
        assert found.headers["Content-Length"] == str(len(PAGE))


@pytest.fixture
def app(run: MadeUpRun) -> Iterator[ViewerApp]:
    served = ViewerApp(run, ViewerSettings(port=0))
    served.start()
    yield served
    served.stop()


def test_a_person_who_types_fast_is_understood(app: ViewerApp, browser: Any, monkeypatch: pytest.MonkeyPatch):
    """Of such questions half lose letters without the script."""
    heard: list[str] = []
    monkeypatch.setattr(app.desk, "ask", heard.append)
    said: list[str] = []
    with tab_of(browser, 640, 360) as tab:
        tab.goto(app.url)
        box = question_of(tab)
        for number in range(12):
            said.append(f"red ball {number}")
            box.fill("")
            box.press_sequentially(said[-1], delay=0)
            box.press("Enter")
            until(lambda: len(heard) == len(said), lambda: f"{heard} of {said}")
    assert heard == said


def test_a_question_on_the_heels_of_a_tick_is_understood(app: ViewerApp, browser: Any, monkeypatch):
    """The form says that it was changed in the same 50 ms as the tick, and nothing but that would arrive."""
    heard: list[str] = []
    monkeypatch.setattr(app.desk, "ask", heard.append)
    with tab_of(browser, 640, 360) as tab:
        tab.goto(app.url)
        question_of(tab).wait_for()
        tab.evaluate(TICK_THEN_QUESTION)
        until(lambda: len(heard) == 1)
    assert heard == ["blue ball"]


TICK_THEN_QUESTION = """() => {
  const box = document.querySelector("form input");
  const ticks = [...document.querySelectorAll("input[type=checkbox]")];
  ticks.find((tick) => box.compareDocumentPosition(tick) & Node.DOCUMENT_POSITION_FOLLOWING).click();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(box, "blue ball");
  box.dispatchEvent(new Event("input", {bubbles: true}));
  box.form.requestSubmit();
}"""
"""In one breath, as events come that a page found no time for."""
