"""The page in a real browser: words typed by a person colour the right pixels, and markup stays text."""

import io
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from langfield.viewer.app import ViewerApp, ViewerSettings
from tests.viewer.scene import MadeUpRun

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist --headless"
)
pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)")


@pytest.fixture
def page(run: MadeUpRun) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        tab = browser.new_page(viewport={"width": 640, "height": 360})
        tab.goto(app.url)
        yield tab
        browser.close()
    app.stop()


def yellow(page: Any) -> int:
    """Number of pixels of the scene at the bright end of the colour map."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)[:, :300]
    return int(((picture[..., 0] > 200) & (picture[..., 1] > 180) & (picture[..., 2] < 90)).sum())


def wait_for(page: Any, wanted: bool, seconds: float = 60.0) -> None:
    """Wait until the scene has, or has no longer, a yellow thing."""
    end = time.monotonic() + seconds
    while (yellow(page) > 200) != wanted:
        assert time.monotonic() < end, f"yellow pixels: {yellow(page)}"
        time.sleep(0.2)


def test_a_person_asks_and_sees(page: Any):
    dialogs: list[str] = []
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    box = page.get_by_role("textbox").first
    box.wait_for(timeout=60_000)
    assert yellow(page) < 200
    box.fill("red ball")
    box.press("Enter")
    page.get_by_text("Found:").wait_for(timeout=60_000)
    wait_for(page, True)
    box.fill("<img src=x onerror=alert(1)>")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("Not in this scene").wait_for(timeout=60_000)
    assert page.get_by_text("<img src=x onerror=alert(1)>").count() == 1
    wait_for(page, False)
    assert not dialogs
