"""A headless browser for tests, and patience."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --ignore-gpu-blocklist --headless"
)
PATIENCE_S = 300.0
"""How long something may take on a busy machine before a test gives up."""


@contextmanager
def launched() -> Iterator[Any]:
    """A browser; pytest's fixture `browser` shares one among all tests of the page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@contextmanager
def tab_of(browser: Any, width: int, height: int) -> Iterator[Any]:
    """A tab; closed afterwards, because what it shows is drawn as long as it is open."""
    tab = browser.new_page(viewport={"width": width, "height": height})
    tab.set_default_timeout(1000 * PATIENCE_S)
    yield tab
    tab.close()


def field_of(tab: Any, label: str) -> Any:
    """The input beside a label of the panel."""
    return tab.locator(f"xpath=//*[normalize-space(text())='{label}']/following::input[1]").first


def question_of(tab: Any) -> Any:
    """The field of questions; until the page is connected the first field is one of viser's own."""
    return tab.locator("form input").first


def until(holds: Callable[[], bool], say: Callable[[], object] = lambda: "", seconds: float = PATIENCE_S) -> None:
    """Wait until something holds; fails with what `say` gives."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, say()
        time.sleep(0.2)
