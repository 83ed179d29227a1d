"""Workers for the whole suite; --series full: series at their stated sizes; --found FILE: what each test recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.series import FULL

SERIES = ("sample", FULL)
WORKERS = 4
"""At most; each loads torch and the models its tests ask for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--series", choices=SERIES, default=SERIES[0], help="size of soak, fuzz and kill series")
    parser.addoption("--found", type=Path, help="write each test's outcome, seconds and record_property here, as JSON")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Give the number of worker processes: the whole suite is shared out, what was chosen runs in this process."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    return min(WORKERS, len(os.sched_getaffinity(0))) if is_whole else 0


def pytest_configure(config: pytest.Config) -> None:
    if config.option.numprocesses:  # threads that wait for others spin: workers share the cores, one thread each
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    path = config.getoption("--found")
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Found(path))
    for name in SERIES:
        settings.register_profile(name, deadline=None)  # an example's seconds say how busy the machine is
    settings.load_profile(config.option.series)  # before test modules are read: their decorators ask for it


class Found:
    """Keeps what each test recorded, whichever process ran it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tests: dict[str, dict[str, Any]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            found = {"outcome": report.outcome, "seconds": round(report.duration, 1), **dict(report.user_properties)}
            self.tests[report.nodeid] = found

    def pytest_sessionfinish(self) -> None:
        from langfield.artefacts import write_json

        write_json(self.path, self.tests)
