# pyright: reportOptionalMemberAccess=false
"""The bench measures what it says: its peer draws the same picture, its report has every part."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from langfield.commands.bench_options import RasterBench
from langfield.commands.bench_raster import bench_raster, garden, looking_at, scenes
from langfield.errors import FormatError
from langfield.field.ply import write_ply
from langfield.raster.measure import bench, bench_peers
from tests.raster.scenes import camera, channels, draw_with_gradients, gaussians

SHARED = Path(__file__).parents[4] / "shared" / "splats"
TINY = bench.Sizes(
    gaussians=150, width=64, height=48, channels=3, repeats=1, slow_repeats=1, slow_threads=(1,),
    curve_gaussians=(100, 300), curve_channels=(1, 5),
)  # fmt: skip


@pytest.mark.parametrize("many", [1, 2])
def test_the_pixel_loop_draws_what_we_draw_and_its_gradients_are_ours(monkeypatch, many):
    scene, cam, chans = gaussians(80, 3), camera(), channels(80, 5, 3)
    ours = draw_with_gradients(scene, cam, chans, backend="cpu")
    monkeypatch.setattr("tests.raster.scenes.rasterize", lambda g, c, x, *_: bench_peers.pixel_loop(g, c, x))
    with bench.threads(many):
        peer = draw_with_gradients(scene, cam, chans)
    for a, b in zip(ours.outputs, peer.outputs, strict=True):
        assert (a - b).norm() <= 1e-3 * a.norm()
    for name, grad in ours.grads.items():
        assert (grad - peer.grads[name]).norm() <= 1e-3 * grad.norm(), name


def test_the_report_has_every_part(tmp_path):
    write_ply(tmp_path / "mine.ply", gaussians(60, 1))
    picture = tmp_path / "curves.png"
    found = bench_raster(RasterBench(ply=(tmp_path / "mine.ply",), picture=picture), TINY)
    who = {(row["who"], row["threads"]) for row in found["peers"]["rows"]}
    assert who == {("langfield", 2), ("langfield", 1), ("plain torch", 1), ("pixel loop", 2), ("pixel loop", 1)}
    assert all(row["total_ms"] > 0 for row in found["peers"]["rows"])
    assert found["peers"]["plain_torch_ratio"] > 0
    assert found["peers"]["pixel_loop_ratio"] > 0
    assert "CUDA" in found["peers"]["missing"]["gsplat"] or torch.cuda.is_available()
    assert [row["scene"] for row in found["scenes"]] == ["mine"]
    assert found["scenes"][0]["pairs"] > 0
    assert [row["gaussians"] for row in found["along_gaussians"]["rows"]] == [100, 300]
    assert [row["channels"] for row in found["along_channels"]["rows"]] == [1, 5]
    assert "pixel loop" in found["table"]
    assert json.loads(json.dumps(found)) == found
    with Image.open(picture) as image:
        assert len(image.convert("RGB").getcolors(10**6) or []) > 4


def test_pairs_grow_with_the_gaussians_and_no_pixel_fills_up():
    few, many = (bench.even_scene(n, 64, 48) for n in (200, 2000))
    assert bench.pairs_of(*many) == pytest.approx(10 * bench.pairs_of(*few), rel=0.1)
    assert bench.backend_draw("cpu")(*many, None).alpha.max() < 0.999


def test_a_line_is_found_and_what_lies_off_it_is_told():
    rows = [{"channels": c, "forward_ms": 1.0 + c, "backward_ms": 2.0 + 2 * c} for c in (1, 10, 100)]
    line = bench._line([1.0, 10.0, 100.0], rows, "channel")
    assert line == {"start_ms": 3.0, "ms_per_channel": 3.0, "worst_off_the_line": 0.0}
    rows[1]["forward_ms"] = 40.0
    assert bench._line([1.0, 10.0, 100.0], rows, "channel")["worst_off_the_line"] > 0.1


def test_a_camera_is_found_for_any_scene_and_a_wrong_archive_is_named(tmp_path):
    scene = gaussians(50, 2)
    assert bench.backend_draw("cpu")(scene, looking_at(scene), None).alpha.max() > 0.1
    (tmp_path / "garden_points").mkdir()
    (tmp_path / "garden_points" / "test_garden.npz").write_bytes(b"not an archive")
    with pytest.raises(FormatError, match="garden"):
        list(scenes(RasterBench(splats=tmp_path)))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared splats are not beside this checkout")
def test_the_shared_points_are_seen():
    scene, cam = garden(SHARED / "garden_points" / "test_garden.npz")
    assert len(scene) == 138_766
    assert (bench.backend_draw("cpu")(scene, cam, None).alpha > 0.5).float().mean() > 0.3
