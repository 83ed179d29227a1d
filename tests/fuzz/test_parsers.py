"""Spoilt files of every kind that is read back: our errors only, under a second each, memory bounded by their size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.targets import TARGETS
from tests.series import cases

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("fuzz") / "found.json"
    command = [sys.executable, "-m", "tests.fuzz.child", str(out), str(cases(120, 10_000)), *TARGETS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


@pytest.mark.parametrize("name", TARGETS)
def test_only_our_errors_in_time_and_memory(results: dict[str, Any], name: str, record_property):
    found = results[name]
    record_property("found", {key: found[key] for key in ("cases", "read", "refused", "slowest_s")})
    assert found["failures"] == []
    assert found["cases"] == cases(120, 10_000)
    assert found["refused"] > found["cases"] / 5  # spoiling spoils


def test_other_errors_and_too_much_memory_are_found_out(tmp_path: Path):
    from tests.fuzz import child
    from tests.fuzz.targets import Target

    def read(folder: Path) -> None:
        if (folder / "a").read_bytes() == b"much":
            bytearray(2**34)  # more than the heap of all tests before may have left free
        else:
            raise KeyError("another error")

    target = Target(lambda _: [], {}, read)
    for data, said in ((b"much", "MemoryError"), (b"", "KeyError")):
        (tmp_path / "a").write_bytes(data)
        assert said in child.run_case(target, tmp_path, len(data))
