"""SIGKILL to workers and to the driver, at random: in the end every photo is there once, and the sums are the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest
import torch

from langfield.cluster.pool import Pool
from langfield.cluster.types import Tally
from langfield.field.lift import Sums
from tests.cluster.driving import artefacts, drive
from tests.cluster.here import Here
from tests.series import cases
from tests.tiny import write_tiny_scene

VIEWS = 6
FULL_KILLS = cases(1, 3)
WAIT_S = 300


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_scene(tmp_path_factory.mktemp("scene"), VIEWS)


@pytest.fixture(scope="module")
def expected(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Sums, dict[str, bytes]]:
    root = tmp_path_factory.mktemp("undisturbed")
    return drive(scene, root, Here()), artefacts(root)


def killer(seed: int) -> Callable[[Pool, Tally], None]:
    """Kill workers at seeded replies, some moments later."""
    rng, left = random.Random(seed), [FULL_KILLS]

    def watch(pool: Pool, _: Tally) -> None:
        pids = pool.pids()
        if left[0] and pids and rng.random() < 0.25:
            left[0] -= 1
            Timer(rng.uniform(0, 0.05), end, (rng.choice(pids),)).start()

    return watch


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def same(found: Sums, root: Path, expected: tuple[Sums, dict[str, bytes]]) -> None:
    assert torch.equal(found.key, expected[0].key)
    assert torch.equal(found.steps, expected[0].steps)
    assert artefacts(root) == expected[1], "no photo lost, none done twice"


@pytest.mark.parametrize("seed", range(cases(1, 35)))
def test_workers_are_killed(
    seed: int, scene: Path, expected: tuple[Sums, dict[str, bytes]], pool: Pool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.setattr(pool, "watch", killer(seed))
    same(drive(scene, tmp_path, pool), tmp_path, expected)


@pytest.mark.parametrize("seed", range(cases(1, 15)))
def test_the_driver_is_killed(
    seed: int, scene: Path, expected: tuple[Sums, dict[str, bytes]], pool: Pool, tmp_path: Path
):
    enough = random.Random(seed).randrange(1, len(expected[1]))
    command = [sys.executable, "-m", "tests.cluster.driving", str(scene), str(tmp_path)]
    driver = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    give_up = time.monotonic() + WAIT_S
    while len(artefacts(tmp_path)) < enough and driver.poll() is None and time.monotonic() < give_up:
        time.sleep(0.005)
    driver.kill()
    driver.wait()
    same(drive(scene, tmp_path, pool), tmp_path, expected)
