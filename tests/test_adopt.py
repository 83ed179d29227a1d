"""Splats trained elsewhere: made a run they answer like one trained here, and those that do not fit are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield import adopt as module
from langfield.adopt import adopt
from langfield.artefacts import read_json
from langfield.errors import FormatError
from langfield.evaluate.labels import read_labels
from langfield.evaluate.sources import score_field
from langfield.field.ply import write_ply
from langfield.field.world import world_of
from langfield.query.answer import ask
from langfield.raster.types import Gaussians
from langfield.run import open_run
from tests.plugin.driving import SETTINGS
from tests.tiny import BALLS, ball_centres, tiny_gaussians, write_tiny_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adopt")
    write_tiny_scene(folder / "scene")
    write_ply(folder / "splats.ply", tiny_gaussians()[0])
    return folder


def settings(folder: Path, compress="codebook"):
    return replace(SETTINGS, compress=compress, hold_out_every=0, cache_dir=folder / "cache")


def bring(scene: Path, gaussians: Gaussians, out: Path) -> Path:
    write_ply(out / "other.ply", gaussians)
    return adopt(out / "other.ply", scene / "scene", out, settings(scene))


@pytest.mark.parametrize("compress", ["codebook", "pca"])
def test_splats_and_their_capture_become_a_run_that_answers(scene: Path, tmp_path: Path, compress: str):
    folder = adopt(scene / "splats.ply", scene / "scene", tmp_path, settings(scene, compress))
    run = open_run(tmp_path)
    assert run.path == folder
    assert all(map(torch.equal, run.field.gaussians.tensors(), tiny_gaussians()[0].tensors()))
    assert len(run.training_names) == len(run.frames) == 6
    assert all(run.features(frame) is not None for frame in run.frames)
    assert run.field.instances is not None
    assert len(run.field.instances) >= 3
    assert run.manifest["quality"]["psnr_training_db"] > 40
    scores = score_field(run.field, run.frames, read_labels(scene / "scene" / "label", run.frames), run.text_encoder())
    assert np.mean([s.hit for s in scores]) > 0.8
    answer = ask(run.field, run.views, run.text_encoder(), "green ball")
    assert answer.position is not None
    assert np.linalg.norm(np.array(answer.position) - ball_centres()[list(BALLS).index("green ball")]) < 0.45


def test_what_it_was_made_of_is_kept(scene: Path, tmp_path: Path):
    adopt(scene / "splats.ply", scene / "scene", tmp_path, settings(scene))
    about = open_run(tmp_path).field.provenance
    assert len(about["inputs"]["splats"]["splats.ply"]) == 64
    assert {len(key) for key in about["inputs"]["frames"].values()} == {64}
    assert about["seeds"]["run"] == 42
    assert about["image_encoder"]["name"] == "tests.tiny:ColourEncoder"
    assert world_of(about).name == "nerfstudio transforms"


def test_a_broken_off_import_is_gone_on_with(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "lift_things", stop)
        with pytest.raises(KeyboardInterrupt):
            adopt(scene / "splats.ply", scene / "scene", tmp_path, settings(scene))
    (begun,) = (tmp_path / "scene" / "import").iterdir()
    assert read_json(begun / "manifest.json")["state"] == "running"
    monkeypatch.setattr("langfield.stages.segmenter", lambda *_: pytest.fail("masks are made again"))
    assert adopt(scene / "splats.ply", scene / "scene", tmp_path, settings(scene)) == begun
    assert read_json(begun / "manifest.json")["state"] == "finished"


def moved(change) -> Gaussians:
    return replace(tiny_gaussians()[0], means=change(tiny_gaussians()[0].means))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m + 100, "not to be seen"),
        (lambda m: m * torch.tensor([1.0, -1, -1]) + torch.tensor([0.4, 0, 0.6]), "less like the photo"),
        (lambda m: 0.5 * m.flip(1) + 0.7, "less like the photo|not to be seen"),
    ],
)
def test_splats_of_another_frame_are_refused(scene: Path, tmp_path: Path, change, said: str):
    with pytest.raises(FormatError, match=f"({said}).*check that splats and cameras lie in the same frame"):
        bring(scene, moved(change), tmp_path)
    assert not (tmp_path / "scene").exists()


def test_rows_that_are_not_finite_are_left_out_and_told(scene: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    good = tiny_gaussians()[0]
    bad = replace(good, log_scales=good.log_scales.clone())
    bad.log_scales[7, 1], bad.log_scales[9, 2] = torch.nan, torch.inf
    bring(scene, bad, tmp_path)
    assert "2 of 1650 Gaussians" in capfd.readouterr().err
    assert len(open_run(tmp_path).field.gaussians) == len(good) - 2
    with pytest.raises(FormatError, match="none of 1650"):
        bring(scene, replace(good, means=good.means * torch.nan), tmp_path)
