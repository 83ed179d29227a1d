"""Shared fixtures of the viewer's tests."""

import pytest

from tests.viewer.scene import MadeUpRun, made_up_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> MadeUpRun:
    """The made-up run, with a folder of its own."""
    return made_up_run(path=tmp_path_factory.mktemp("run"))
