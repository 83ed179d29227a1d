"""Ray that does not start in time is started again, and what the first start has left is ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from langfield.cluster import start
from langfield.cluster.start import connected
from langfield.errors import EnvironmentProblem

pytest.importorskip("ray", reason="the extra langfield[cluster] is not installed")
Child = subprocess.Popen[bytes]


class Slow:
    """As much of Ray as is asked for a start; each of the first ones leaves a process and fails."""

    def __init__(self, fails: int) -> None:
        self.fails, self.left, self._private = fails, list[Child](), type("P", (), {"ray_constants": self})()

    def init(self, **_: Any) -> None:
        self.left.append(child())
        if len(self.left) <= self.fails:
            raise Exception("timed out during startup")

    def is_initialized(self) -> bool:
        return False

    def shutdown(self) -> None:
        return None

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}]


def child() -> Child:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


@pytest.fixture
def bystander() -> Iterator[Child]:
    found = child()
    yield found
    found.kill()
    found.wait()


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_a_failed_start_leaves_nothing(fails: int, bystander: Child, monkeypatch: pytest.MonkeyPatch):
    slow = Slow(fails)
    monkeypatch.setattr(start, "import_ray", lambda: slow)
    with connected("local", 1) as found:
        assert found.cpus == 2.0
    assert len(slow.left) == fails + 1
    assert bystander.poll() is None
    assert [p.poll() is None for p in slow.left] == [False] * fails + [True]
    slow.left[-1].kill()
    slow.left[-1].wait()


def test_one_that_never_starts_is_said(monkeypatch: pytest.MonkeyPatch):
    slow = Slow(9)
    monkeypatch.setattr(start, "import_ray", lambda: slow)
    with pytest.raises(EnvironmentProblem, match="timed out"), connected("local", 1):
        pass
    assert len(slow.left) == start.STARTS
    assert all(p.poll() is not None for p in slow.left)
