"""The field bench on the tiny scene from start to end, and its arithmetic against closed forms."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import AutoencoderSettings, Identity
from langfield.commands import bench_field as bench
from langfield.commands.bench_options import FieldBench
from langfield.commands.field_bench import baseline, rows
from langfield.commands.field_bench.bars import check
from langfield.commands.field_bench.baseline import descend, is_still
from langfield.commands.field_bench.picture import draw_field
from langfield.commands.field_bench.scene import FIRST_SEED, seeded
from langfield.commands.field_bench.table import apart, difference, spread, summarise
from langfield.commands.field_bench.things import vectors_of_codes
from langfield.errors import SettingsError
from langfield.field.instances import Instances
from langfield.field.types import Field
from langfield.settings import RunSettings
from tests.blobs import blob_gaussians
from tests.plugin.driving import SETTINGS
from tests.tiny import write_tiny_scene


def test_a_loss_stands_still_when_500_steps_change_its_mean_by_less_than_a_percent():
    assert not is_still([1.0] * 999)
    assert is_still([1.0] * 1000)
    assert is_still([7.0] * 3000 + [1.0] * 500 + [0.9905] * 500)
    assert not is_still([1.0] * 500 + [0.9895] * 500)
    assert not is_still([1.0] * 500 + [1.0105] * 500)  # rising is no stand either
    noisy = np.random.default_rng(0).normal(1.0, 0.1, 1000)
    assert is_still(list(noisy))


def test_descent_ends_where_the_curve_is_flat_or_at_the_most_steps():
    # exp(-t/T): the ratio of the means of neighbouring windows is 1 - exp(-500/T) everywhere, so it never stands still
    losses, still = descend(lambda t: math.exp(-t / 5000), 3000)
    assert (len(losses), still) == (3000, False)
    losses, still = descend(lambda t: 0.1 + math.exp(-t / 300), 30_000)
    before, now = np.mean(losses[-1000:-500]), np.mean(losses[-500:])
    assert still
    assert len(losses) < 3000
    assert 0.0099 < 1 - now / before <= 0.01  # and not one step later than the rule says


def test_spread_is_students_interval():
    found = spread([1.0, 2.0, 3.0])
    half = 4.302652729911275 / math.sqrt(3)  # t of 97.5 % with two degrees of freedom; standard deviation 1
    assert found["over_seeds"] == pytest.approx((2 - half, 2 + half))
    assert spread([5.0]) == {"mean": 5.0, "seeds": [5.0], "over_seeds": None}


def cell(ious: list[float], seconds: float, **more: float) -> dict:
    names = [f"thing {i}" for i in range(len(ious))]
    return {
        "lerf-ovs-2d": {"map": [["a.png", n, int(v > 0.5), v] for n, v in zip(names, ious, strict=True)]},
        "lerf-ovs-3d": {"range": [["a.png", n, v, 7] for n, v in zip(names, ious, strict=True)]},
        "things": 5,
        "times": {"seconds": seconds, **more},
        "bytes": {"codes": 36.0},
        "queries": {"drawn_ms": 1.0},
        "absent": {"AUROC, peak relevancy": 0.7},
    }


def test_a_summary_means_over_queries_then_seeds():
    found = summarise([cell([0.2, 0.4, 0.9], 1.0), cell([0.3, 0.4, 0.8], 3.0)])
    assert found["2D mIoU, map"]["seeds"] == pytest.approx([0.5, 0.5])
    assert found["2D localisation, map"]["mean"] == pytest.approx(1 / 3)
    assert found["3D Acc@0.25, range"]["seeds"] == pytest.approx([2 / 3, 1.0])
    assert found["seconds"]["mean"] == 2.0
    low, high = found["3D mIoU, range"]["over_names"]
    assert 0.25 <= low < 0.5 < high <= 0.8501


def test_a_difference_is_paired_by_query_and_seed():
    base = [0.1, 0.9, 0.5, 0.3]
    a = [cell([v + 0.05 for v in base], 1.0) for _ in range(3)]
    found = difference(a, [cell(base, 1.0) for _ in range(3)], "2D mIoU, map")
    assert found["mean"] == pytest.approx(0.05)
    assert found["over_names"] == pytest.approx((0.05, 0.05))  # unpaired it would be as wide as the names are apart


def test_intervals_that_touch_are_not_apart():
    assert apart((0.1, 0.2), (0.21, 0.3))
    assert not apart((0.1, 0.2), (0.2, 0.3))
    assert not apart((0.3, 0.4), (0.1, 0.2))
    assert not apart(None, (0.1, 0.2))


def test_claims_are_met_and_missed():
    ours, theirs = [0.6, 0.62, 0.64], [0.2, 0.22, 0.24]
    cells = {
        "LangSplat": [cell([v] * 9, 100.0, extrapolated_s=1000.0) for v in theirs],
        "codebook": [cell([v] * 9, 10.0) for v in ours],
        "identity": [cell([v] * 9, 10.0) for v in ours],
    }
    found = {one["what"]: one for one in check(cells, ("range", "range"))}
    assert all(one["met"] for one in found.values())
    assert found["times faster than LangSplat's 30,000 steps, extrapolated"]["value"] == 100
    cells["identity"] = [cell([v + 0.1] * 9, 10.0) for v in ours]
    cells["codebook"] = [cell([v] * 9, 30.0) for v in theirs]
    cells["codebook"][0]["bytes"]["codes"] = 40.0
    assert not any(one["met"] for one in check(cells, ("range", "range")))


def test_seed_zero_is_a_run_that_is_told_nothing():
    assert seeded(RunSettings(), 0) == RunSettings()
    other = seeded(RunSettings(), 2)
    assert (other.seed, other.photometric.seed, other.codec.seed, other.codebook.seed) == (FIRST_SEED + 2, 2, 2, 2)
    assert rows.published(other) == dataclasses.replace(rows.published(RunSettings()), seed=2)


def test_things_get_what_their_codes_say_where_they_agree_most():
    gaussians, g = blob_gaussians(), torch.Generator().manual_seed(0)
    codes = normalize(torch.randn(2, len(gaussians), 5, generator=g), dim=-1)
    codes[1, :10] = codes[1, 0]  # the first thing agrees at level 1
    first, held = torch.tensor([0, 10, 14]), torch.cat([torch.arange(10), torch.arange(8, 12)]).int()
    blank = torch.zeros(2, 5).half()
    things = Instances(blank, torch.ones(2).int(), torch.ones(2), first, held, torch.zeros(0, 3).int())
    found = vectors_of_codes(Field(gaussians, codes, Identity(5), {}), things)
    torch.testing.assert_close(found[0], codes[1, 0])
    means = [codes[level, 8:12].mean(dim=0) for level in range(2)]
    torch.testing.assert_close(found[1], normalize(max(means, key=lambda m: float(m.norm())), dim=0))


def test_no_scene_and_too_many_view_counts_are_refused():
    for scenes, what in (([], FieldBench()), ([Path("a")], FieldBench(seeds=0)), ([Path("a")], FieldBench(3, (4, 5)))):
        with pytest.raises(SettingsError, match="bench field needs"):
            bench.bench_field(scenes, what, None, RunSettings())


def test_the_tiny_scene_from_start_to_end_and_again_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scene = write_tiny_scene(tmp_path / "tiny", n_views=3)
    monkeypatch.setattr(baseline, "WINDOW", 5)
    monkeypatch.setattr(rows, "TIMED_STEPS", 2)
    monkeypatch.setattr(rows, "published", lambda s: AutoencoderSettings(latent=3, epochs=20, seed=s.codec.seed))
    settings = dataclasses.replace(SETTINGS, cache_dir=tmp_path / "cache", hold_out_every=0)
    out = tmp_path / "field.json"
    first = bench.bench_field([scene], FieldBench(seeds=1), out, settings)
    row = first["scenes"]["tiny"]["rows"]
    assert set(row) == {"LangSplat", "codebook", "pca", "identity"}
    assert row["identity"]["2D localisation, map"]["mean"] > 0.8
    assert (row["codebook"]["codes"]["mean"], row["LangSplat"]["codes"]["mean"]) == (36, 36)
    assert row["LangSplat"]["extrapolated_s"]["mean"] > row["LangSplat"]["seconds"]["mean"]
    assert first["scenes"]["tiny"]["made"]["LangSplat"][0]["steps"] >= 10
    assert "codebook" in first["table"]
    assert "| codebook |" in out.with_suffix(".md").read_text()
    draw_field(first, tmp_path / "field.png")
    assert (tmp_path / "field.png").stat().st_size > 1000

    monkeypatch.setattr(rows, "make", lambda *_: pytest.fail("made again"))
    assert bench.bench_field([scene], FieldBench(seeds=1), None, settings)["scenes"] == first["scenes"]
    with pytest.raises(pytest.fail.Exception, match="made again"):
        bench.bench_field([scene], FieldBench(seeds=1, retime=True), None, settings)
