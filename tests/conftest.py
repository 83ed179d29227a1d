"""--series full: series of seeds, fuzz cases and kills at their stated sizes; --found FILE: what each test recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from langfield.artefacts import write_json
from tests.series import FULL

REPORTS = pytest.StashKey[dict[str, dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--series", choices=("sample", FULL), default="sample", help="size of soak, fuzz and kill series")
    parser.addoption("--found", type=Path, help="write each test's outcome, seconds and record_property here, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORTS] = {}
    settings.register_profile(FULL, deadline=None)
    if config.getoption("--series") == FULL:
        settings.load_profile(FULL)  # before test modules are read: their decorators ask for it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report: pytest.TestReport = yield
    if report.when == "call" or report.outcome != "passed":
        found = {"outcome": report.outcome, "seconds": round(call.duration, 1), **dict(report.user_properties)}
        item.config.stash[REPORTS][item.nodeid] = found
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--found")
    if path is not None:
        write_json(path, session.config.stash[REPORTS])
