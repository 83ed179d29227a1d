"""bench cluster measures once, and says what is not equal; the scaling page is what its script makes."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from langfield.artefacts import read_json, write_json
from langfield.commands import bench_cluster as module
from langfield.commands.bench_cluster import bench_cluster
from langfield.commands.bench_options import ClusterBench
from langfield.commands.cluster_bench.point import Point
from langfield.errors import SettingsError

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "docs" / "measurements" / "cluster.json"


def town(folder: Path, photos: int) -> Path:
    (folder / "language_features").mkdir(parents=True)
    write_json(folder / "transforms.json", {"frames": [{}] * photos})
    return folder


def test_two_workers_are_held_against_one_with_real_models_too(asked: list[Point], tmp_path: Path):
    what = ClusterBench((town(tmp_path / "a", 5),), real=tmp_path, real_photos=8, repeats=1, out=tmp_path / "out",
                        only=("throughput",))  # fmt: skip
    rows = bench_cluster(what)["throughput"]
    assert [(p.workers, p.photos) for p in asked if p.real] == [(1, 8), (2, 8)]
    assert rows["two workers over one, 8 photos, real models"] == {"features": 2.0}


def test_blocks_are_trained_where_they_are_asked_for_alone(asked: list[Point], tmp_path: Path, monkeypatch: Any):
    way = {"held out": {"psnr_near_db": 20.0, "psnr_away_db": 17.0, "pixels_near": 0.05},
           "run": {"lerf-ovs-2d, field": {"queries": 3, "mIoU": 0.25}}}  # fmt: skip
    monkeypatch.setattr(module, "measure_seams", lambda *_: {"in blocks": way, "whole": way})
    what = ClusterBench((town(tmp_path / "a", 5),), out=tmp_path / "out", tasks=1, repeats=1)
    monkeypatch.setattr(module, "scheduling", lambda *_: {"tasks": 1})
    assert not bench_cluster(what)["blocks"]
    lines = bench_cluster(replace(what, only=("blocks",)))["table"].splitlines()
    lines = [line for line in lines if line.startswith("blocks")]
    assert lines[0] == "blocks: in blocks: 20.0 dB near a border (5% of pixels), 17.0 elsewhere; mIoU 0.250"
    assert len(lines) == 2


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    points: list[Point] = []

    def measure(point: Point) -> dict[str, Any]:
        points.append(point)
        stages = {name: {"per_second_steady": float(point.workers), "rss_mib": 500.0, "seconds": 8 / point.workers}
                  for name in module.STEADY}  # fmt: skip
        codes = "equal" if point.workers < 4 else "other"
        return {"codebook": "b", "codes": codes, "reliability": "r", "serial": {"codes_that_differ": 0},
                "stages": stages, "seconds": 1.0, "rss_mib": 100.0}  # fmt: skip

    monkeypatch.setattr(module, "measure", measure)
    return points


def test_resumes_and_says_what_differs(asked: list[Point], tmp_path: Path):
    what = ClusterBench((town(tmp_path / "a", 5), town(tmp_path / "b", 250)), out=tmp_path / "out",
                        only=("equal", "memory", "throughput"), repeats=2)  # fmt: skip
    found = bench_cluster(what)
    equal = found["equal"]["equal for (1, 2, 4) workers"]
    assert (equal["codebook"], equal["codes"]) == (True, False)
    assert found["throughput"]["two workers over one, 2 runs"] == dict.fromkeys(module.STEADY, 2.0)
    assert [p.serial for p in asked[:3]] == [True, False, False]
    assert {p.parts for p in asked if p.data == str(what.towns[1])} == {3}
    assert "250 photos: 1.0 s, a worker 500 MiB" in found["table"]
    many = len(asked)
    assert bench_cluster(what)["table"] == found["table"]
    assert len(asked) == many, "measured once"
    assert read_json(what.out / "cluster.json")["parts"]["equal"] == found["equal"]


def test_no_town_no_part(tmp_path: Path):
    with pytest.raises(SettingsError, match="no town"):
        bench_cluster(ClusterBench((tmp_path,), out=tmp_path))
    with pytest.raises(SettingsError, match="no such part"):
        bench_cluster(ClusterBench((tmp_path,), out=tmp_path, only=("kills",)))


def test_the_scaling_page_is_what_its_script_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("scaling", ROOT / "docs" / "scaling.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "scaling", script)  # dataclasses look their module up
    spec.loader.exec_module(script)
    page = tmp_path / "scaling.md"
    page.write_text((ROOT / "docs" / "scaling.md").read_text())
    monkeypatch.setattr(script, "PAGE", page)
    script.main(MEASURED)
    assert page.read_text() == (ROOT / "docs" / "scaling.md").read_text()
    dear = script.Assumed(dollars_per_gpu_hour=300.0)
    found = [json.loads(path.read_text()) for path in (MEASURED, script.GPU, script.RUNS)]
    assert script.table(script.stages(*found, dear), dear)
