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


@contextmanager
def launched(width: int, height: int) -> Iterator[Any]:
    """A tab of a fresh browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


def until(holds: Callable[[], bool], say: Callable[[], object] = lambda: "", seconds: float = 60.0) -> None:
    """Wait until something holds; fails with what `say` gives."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, say()
        time.sleep(0.2)
