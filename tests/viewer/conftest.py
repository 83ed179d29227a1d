"""Shared fixtures of the viewer's tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.viewer.browser import CHROMIUM, launched
from tests.viewer.scene import MadeUpRun, made_up_run


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """The one browser of all tests of the page."""
    pytest.importorskip("playwright", reason="playwright is not installed (pip install playwright)")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH (apt-get install chromium)")
    with launched() as found:
        yield found


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> MadeUpRun:
    """The made-up run, with a folder of its own."""
    return made_up_run(path=tmp_path_factory.mktemp("run"))
