"""The page in a real browser: words typed by a person colour the right pixels, and markup stays text."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from langfield.viewer.app import ViewerApp, ViewerSettings
from tests.viewer.browser import question_of, tab_of, until
from tests.viewer.scene import MadeUpRun


@pytest.fixture
def page(run: MadeUpRun, browser: Any) -> Iterator[Any]:
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    with tab_of(browser, 640, 360) as tab:
        tab.goto(app.url)
        yield tab
    app.stop()


def yellow(page: Any) -> int:
    """Number of pixels of the scene at the bright end of the colour map."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)[:, :300]
    return int(((picture[..., 0] > 200) & (picture[..., 1] > 180) & (picture[..., 2] < 90)).sum())


def test_a_person_asks_and_sees(page: Any):
    dialogs: list[str] = []
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    box = question_of(page)
    box.wait_for()
    assert yellow(page) < 200
    box.fill("red ball")
    box.press("Enter")
    page.get_by_text("Found:").wait_for()
    until(lambda: yellow(page) > 200, lambda: yellow(page))
    box.fill("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Not in this scene").wait_for()
    assert page.get_by_text("<img src=x onerror=alert(1)>").count() == 1
    until(lambda: yellow(page) < 200, lambda: yellow(page))
    assert not dialogs
