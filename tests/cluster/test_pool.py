"""Every item gets one outcome, whatever happens to the workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.start import Cluster, connected
from langfield.cluster.types import Tally
from langfield.errors import EnvironmentProblem, SettingsError, StorageError
from tests.cluster.works import Squares, Writes

MANY = 24


def outcomes(pool: Pool, work: Squares | Writes, many: int = MANY) -> tuple[dict[int, int | None], Tally]:
    tally = Tally("test")
    found = list(pool.map(work, range(many), tally))
    assert sorted(o.index for o in found) == list(range(many)), "each once"
    return {o.index: o.value for o in found}, tally


def test_each_item_once_and_work_opened_once_per_worker(pool: Pool, tmp_path: Path):
    values, tally = outcomes(pool, Squares(tmp_path))
    assert values == {i: i * i for i in range(MANY)}
    assert (tally.done, tally.retried, tally.failed) == (MANY, 0, [])
    assert {p.name for p in tmp_path.iterdir()} == {f"opened {pid}" for pid in pool.pids()} != set()


def test_items_are_drawn_when_there_is_room(pool: Pool, tmp_path: Path):
    drawn: list[int] = []

    def source() -> Iterator[int]:
        for i in range(MANY):
            drawn.append(i)
            yield i

    room = 2 * pool.settings.ahead
    for seen, _ in enumerate(pool.map(Squares(tmp_path), source(), Tally("test"))):
        assert len(drawn) <= seen + room
    assert drawn == list(range(MANY))


def test_a_killed_worker_is_replaced_and_its_items_done(pool: Pool, tmp_path: Path):
    (tmp_path / "first").mkdir()
    outcomes(pool, Squares(tmp_path / "first"))
    before = set(pool.pids())
    values, tally = outcomes(pool, Squares(tmp_path, kills=(5,)))
    assert values == {i: i * i for i in range(MANY)}
    assert (tally.lost_workers, tally.retried, tally.done) == (1, 1, MANY)
    assert len(before - set(pool.pids())) == 1


def test_what_kills_every_worker_is_given_up(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pool, "settings", replace(pool.settings, tries=2))
    found = {o.index: o for o in pool.map(Squares(tmp_path, poison=(3,)), range(8), Tally("test"))}
    problem = found[3].problem
    assert problem is not None
    assert problem.kind == "WorkerDied"
    assert {i: o.value for i, o in found.items() if i != 3} == {i: i * i for i in range(8) if i != 3}


def test_what_is_damaged_is_said_and_the_rest_done(pool: Pool, tmp_path: Path):
    found = {o.index: o for o in pool.map(Squares(tmp_path, damaged=(0, 7)), range(9), Tally("test"))}
    assert {i for i, o in found.items() if o.problem} == {0, 7}
    problem = found[7].problem
    assert problem is not None
    assert str(problem.error()) == "number cannot be read (7); leave it out."
    assert found[8].value == 64


def test_what_all_items_lack_stops_everything(pool: Pool, tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match="no weights"):
        list(pool.map(Squares(tmp_path, lacking=(1,)), range(9), Tally("test")))
    (tmp_path / "again").mkdir()
    assert outcomes(pool, Squares(tmp_path / "again"), 3)[0] == {0: 0, 1: 1, 2: 4}, "the pool goes on with other work"


@pytest.mark.parametrize("full", [1, 2])
def test_full_disks(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], full: int):
    with Pool(PoolSettings(workers=2)) as own:
        if full == 2:
            with pytest.raises(StorageError, match="no worker can write"):
                outcomes(own, Writes(tmp_path, full))
            return
        values, tally = outcomes(own, Writes(tmp_path, full))
    assert values == {i: i for i in range(MANY)}
    assert {p.name for p in tmp_path.iterdir()} == {str(i) for i in range(MANY)} | {"full 0"}
    assert tally.full_disks == 1
    assert "cannot write and is given up" in capsys.readouterr().err


def test_no_cluster_of_no_process():
    with pytest.raises(SettingsError), connected("local", 0):
        pass
