"""Blocks trained as items are those trained one after the other, also where a worker dies in the middle of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import langfield.cluster.blocks as on_cluster
from langfield.artefacts import read_json
from langfield.capture import read_capture
from langfield.capture.types import Capture, Points
from langfield.cluster.blocks import train_blocks
from langfield.cluster.session import ClusterSettings
from langfield.cluster.store import Store
from langfield.cluster.types import Tally
from langfield.commands.blocks import blocks
from langfield.errors import FormatError
from langfield.field.blocks import BlockSettings, merge_blocks, plan_blocks
from langfield.field.photometric import PhotometricFit, PhotometricSettings, view_order
from langfield.fit import mean_psnr, training_view
from langfield.raster import Gaussians
from langfield.run import open_run
from langfield.settings import RunSettings
from tests.cluster.here import Here
from tests.tiny import write_tiny_scene

CUT = BlockSettings(blocks=2, overlap=0.0, least_share=0.6)
SETTINGS = RunSettings(
    segmenter="components", image_encoder="tests.tiny:ColourEncoder", text_encoder="tests.tiny:ColourEncoder",
    hold_out_every=0, photometric=PhotometricSettings(steps=6, max_gaussians=600),
)  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return read_capture(write_tiny_scene(tmp_path_factory.mktemp("scene")))


@pytest.fixture(scope="module")
def expected(capture: Capture) -> Gaussians:
    cells, cut = plan_blocks([f.camera for f in capture.frames], capture.points.xyz, CUT)
    assert cut[0].views != cut[1].views
    parts = []
    for block in cut:
        views = [training_view(capture.frames[row], SETTINGS.train_side_px) for row in block.views]
        points = Points(capture.points.xyz[block.points], capture.points.rgb[block.points])
        fit = PhotometricFit(points, [v.camera for v in views], SETTINGS.photometric)
        for step in range(SETTINGS.photometric.steps):
            view = views[view_order(len(views), step, SETTINGS.seed)]
            fit.step(step, view.camera, view.target())
        parts.append(fit.gaussians)
    return merge_blocks(cells, parts)


def train(capture: Capture, root: Path) -> Gaussians:
    scene = (capture.frames, capture.points)
    return train_blocks(Here(), Store(root), scene, (SETTINGS, CUT), Tally("blocks"))


def same(found: Gaussians, expected: Gaussians) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found.tensors(), expected.tensors(), strict=True))


def test_as_one_after_the_other(capture: Capture, expected: Gaussians, tmp_path: Path):
    assert same(train(capture, tmp_path), expected)
    assert not list(tmp_path.rglob("*.unfinished.pt"))


def test_a_block_goes_on_where_its_worker_died(
    capture: Capture, expected: Gaussians, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(on_cluster, "STEPS_PER_SAVE", 2)
    steps: list[int] = []
    step = PhotometricFit.step

    def dying(self: Any, number: int, *rest: Any) -> Any:
        steps.append(number)
        if len(steps) == 6:
            raise FormatError("died")
        return step(self, number, *rest)

    monkeypatch.setattr(PhotometricFit, "step", dying)
    with pytest.raises(FormatError, match="died"):
        train(capture, tmp_path)
    before = len(steps)
    assert same(train(capture, tmp_path), expected)
    assert steps[before] == 4, "not from the beginning"


@pytest.mark.usefixtures("cluster")
def test_the_command_leaves_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scene = write_tiny_scene(tmp_path / "scene")
    colour = PhotometricSettings(steps=40)
    settings = replace(SETTINGS, cache_dir=tmp_path / "cache", photometric=colour, hold_out_every=4)
    how = ClusterSettings(workers=1)
    blocks(scene, tmp_path / "out", CUT, how, settings, json=True)
    (manifest,) = (tmp_path / "out").rglob("manifest.json")
    about = read_json(manifest)
    assert about["state"] == "finished"
    assert about["cluster"]["stages"]["blocks"]["done"] == CUT.blocks
    assert '"quality"' in capsys.readouterr().out
    held_out, quality = about["held_out_views"], about["quality"]
    assert held_out
    assert set(held_out).isdisjoint(about["training_views"])
    field = open_run(manifest.parent).field
    views = [training_view(f, settings.train_side_px) for f in open_run(manifest.parent).frames if f.name in held_out]
    assert quality["psnr_held_out_db"] == pytest.approx(mean_psnr(field.gaussians, views), abs=1e-3)
    assert quality["psnr_training_db"] != pytest.approx(quality["psnr_held_out_db"], abs=1e-3)
    assert about["notes"][-1] == "colours trained in 2 blocks"
