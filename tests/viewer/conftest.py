"""Shared fixtures of the viewer's tests."""

import pytest

from tests.viewer.scene import MadeUpRun, made_up_run


@pytest.fixture(scope="session")
def run() -> MadeUpRun:
    """The made-up run."""
    return made_up_run()
