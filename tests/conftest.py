"""--series full: series of seeds, fuzz cases and kills run at their stated sizes instead of as samples."""

import pytest
from hypothesis import settings

from tests.series import FULL


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--series", choices=("sample", FULL), default="sample", help="size of soak, fuzz and kill series")


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile(FULL, deadline=None)
    if config.getoption("--series") == FULL:
        settings.load_profile(FULL)  # before test modules are read: decorators ask for it
