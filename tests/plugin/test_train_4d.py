"""`ns-train langsplat-4d` on a tiny scene that moves: stopped and gone on with, saved, drawn at its times."""

import json
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from langfield import caption_stage
from langfield.artefacts import read_json, read_tensors
from langfield.commands.export import export
from langfield.field.at_time import at_time, span_s, status_codes
from langfield.field.dynamic_fit import MotionSettings
from langfield.field.hexplane import PlaneSettings
from langfield.field.language import LanguageSettings
from langfield.field.photometric import PhotometricSettings, psnr
from langfield.field.ply import read_ply
from langfield.plugin.pipeline import LangsplatPipeline
from langfield.raster import rasterize
from langfield.run import open_run
from langfield.segment.track import TrackSettings
from langfield.suite.captions.settings import CaptionSettings
from langfield.suite.captions.store import read_captions
from tests.moving import FIRST_S, LAST_S, TURNS_S, camera_at, picture, points, times
from tests.plugin.driving import tiny_config, train
from tests.tiny import OPENCV_TO_OPENGL, write_tiny_scene

SETTINGS = {
    "motion": MotionSettings(planes=PlaneSettings(grid=(8, 8, 8), times=12, width=8), hidden=32),
    "photometric": PhotometricSettings(steps=300, max_gaussians=400, sh_degree=0, densify_every=20, half_size_until=0),
    "language": LanguageSettings(mode="lift"),
    "compress": "pca",
    "pca_width": 3,
    "tracks": TrackSettings(least_px=12),
    "captions": CaptionSettings(width=4),
}


def write_moving_scene(folder: Path, count: int = 20) -> Path:
    """Write pictures and transforms.json with times, and give the folder."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for i, t in enumerate(times(count)):
        pixels = (picture(t) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"images/{i:02d}.png")
        pose = (camera_at(t).T_world_camera.numpy() @ OPENCV_TO_OPENGL).tolist()
        frames.append({"file_path": f"images/{i:02d}.png", "time": t, "transform_matrix": pose})
    K = camera_at(0).K
    lens = {"fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2])}
    meta = {"w": 64, "h": 48, **lens, "ply_file_path": "points.ply", "frames": frames}
    turned = {f"{i:02d}.png": "left" if t < TURNS_S else "right" for i, t in enumerate(times(count))}
    said = [("red ball", 1, turned)]
    rows = [{"name": name, "instance": i, "video": name, "frames": frames} for name, i, frames in said]
    (folder / "captions.json").write_text(json.dumps({"version": 1, "objects": rows}))
    (folder / "transforms.json").write_text(json.dumps(meta))
    start = points()
    both = zip(start.xyz.tolist(), start.rgb.tolist(), strict=True)
    rows = [" ".join([*(f"{v:.4f}" for v in p), *map(str, c)]) for p, c in both]
    header = ["ply", "format ascii 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    (folder / "points.ply").write_text("\n".join([*header, "end_header", *rows]) + "\n")
    return folder


class Letters:
    """Sentences as counts of their letters: no weights."""

    provenance: dict[str, Any] = {"name": "letters"}  # noqa: RUF012

    def encode_texts(self, texts: list[str]) -> torch.Tensor:
        """Give one unit vector per text."""
        counts = torch.tensor([[t.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts]).float()
        return torch.nn.functional.normalize(counts, dim=1)


@pytest.fixture(scope="module", autouse=True)
def light_sentences() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_stage, "sentence_encoder", lambda spec: Letters())
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The scene's folder and a finished run."""
    folder = tmp_path_factory.mktemp("moving")
    scene = write_moving_scene(folder / "scene")
    return scene, train(tiny_config(scene, folder, **SETTINGS))


def test_the_entry_point_is_there():
    assert "langsplat-4d" in {e.name for e in entry_points(group="nerfstudio.method_configs")}


def test_a_run_knows_how_its_scene_moves(trained: tuple[Path, Path]):
    run = open_run(trained[1])
    assert run.path.parent.name == "langsplat-4d"
    assert span_s(run.field) == pytest.approx((FIRST_S, LAST_S))
    assert set(run.manifest["settings"]["motion"]) >= {"planes", "heads", "static_share"}
    held = [f for f in run.frames if f.name in run.manifest["held_out_views"]]
    drawn = [rasterize(at_time(run.field, f.camera.time_s).gaussians, f.camera).colour for f in held]
    told = [
        psnr(d.clamp(0, 1), picture(f.camera.time_s or 0)) for d, f in zip(drawn, held, strict=True) if d is not None
    ]
    assert run.manifest["quality"]["psnr_held_out_db"] == pytest.approx(np.mean(told), abs=0.05)


def test_things_are_found_although_they_move(trained: tuple[Path, Path]):
    """One thing is the red ball and runs across, another is the blue one and stays."""
    field = open_run(trained[1]).field
    things = field.instances
    assert things is not None
    first, last = (at_time(field, t).gaussians.means for t in (FIRST_S, LAST_S))
    moved = [
        (last[rows] - first[rows])[:, 0].median() for rows in things.rows.long().split(things.first.diff().tolist())
    ]
    seen = things.views >= 10
    assert max(m for m, often in zip(moved, seen, strict=True) if often) > 0.8
    assert min(m.abs() for m, often in zip(moved, seen, strict=True) if often) < 0.4


def test_things_have_states_and_the_run_keeps_what_was_said(trained: tuple[Path, Path]):
    run = open_run(trained[1])
    states, things = run.field.status_tracks, run.field.instances
    assert states is not None
    assert things is not None
    assert len(states.prototypes) == len(things)
    assert {"tracks", "captions", "colour", "language", "states"} <= run.manifest["seconds"].keys()
    said = read_captions(trained[1] / "captions.json")
    red = said.objects[0].instance - 1
    rows = things.gaussians(red).tolist()
    before, between, after = (status_codes(run.field, t)[rows[0]] for t in (FIRST_S, FIRST_S + 0.5, LAST_S))
    assert before @ between > 0.98 > before @ after


def test_splats_of_a_moment_are_exported(trained: tuple[Path, Path], tmp_path: Path):
    field = open_run(trained[1]).field
    for time_s, said in ((None, FIRST_S), (4.1, 4.1)):
        export(trained[1], tmp_path / "then.ply", time=time_s)
        torch.testing.assert_close(read_ply(tmp_path / "then.ply").means, at_time(field, said).gaussians.means)
        assert json.loads((tmp_path / "then.json").read_text())["time_s"] == pytest.approx(said)
    assert torch.equal(read_ply(trained[1] / "point_cloud.ply").means, at_time(field, FIRST_S).gaussians.means)


def test_nerfstudio_draws_the_run_at_each_cameras_time(trained: tuple[Path, Path]):
    from nerfstudio.utils.eval_utils import eval_setup

    pipeline = eval_setup(trained[1] / "config.yml")[1]
    metrics = pipeline.get_average_eval_image_metrics()
    assert metrics is not None
    told = read_json(trained[1] / "manifest.json")["quality"]["psnr_held_out_db"]
    assert metrics["psnr"] == pytest.approx(told, abs=0.1)


def test_a_scene_without_times_is_refused_before_anything_is_made(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    scene = write_tiny_scene(tmp_path / "scene", 3)
    with pytest.raises(SystemExit):
        train(tiny_config(scene, tmp_path, **SETTINGS))
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert said == [
        "error: 3 of 3 pictures have no time, the others 0 times; motion needs a time for every frame and two times at "
        "least."
    ]
    assert not (tmp_path / "cache").exists()


def test_stopped_and_started_again_it_ends_the_same(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def stop(self: LangsplatPipeline, step: int) -> dict[str, float]:
        if step == 277:
            raise KeyboardInterrupt
        return undisturbed(self, step)

    undisturbed = LangsplatPipeline.train_step
    monkeypatch.setattr(LangsplatPipeline, "train_step", stop)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_config(trained[0], tmp_path, **SETTINGS))
    monkeypatch.undo()
    snapshot = next(tmp_path.glob("outputs/scene/langsplat-4d/*/snapshot"))
    assert open_run(snapshot).field.deformation is not None
    again = train(tiny_config(trained[0], tmp_path, **SETTINGS))
    assert "resuming at step 27" in capfd.readouterr().err
    expected, found = (read_tensors(folder / "field.safetensors")[0] for folder in (trained[1], again))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
