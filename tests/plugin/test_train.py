"""The main job on the tiny scene: train, ask, score, and nerfstudio's own tools on the result."""

import json
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.adopt import adopt
from langfield.artefacts import read_json
from langfield.commands.features import features
from langfield.embed import FrameFeatures
from langfield.errors import FormatError
from langfield.evaluate.labels import read_labels
from langfield.evaluate.sources import score_field
from langfield.field.language import LanguageSettings
from langfield.query.answer import ask
from langfield.run import open_run
from tests.plugin.driving import SETTINGS, tiny_config, train
from tests.tiny import BALLS, ball_centres, write_tiny_scene

SCENE = "scene"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The scene's folder and a finished run."""
    folder = tmp_path_factory.mktemp("train")
    scene = write_tiny_scene(folder / SCENE)
    return scene, train(tiny_config(scene, folder))


def test_the_entry_point_is_there():
    assert "langsplat" in {e.name for e in entry_points(group="nerfstudio.method_configs")}


def test_a_run_is_finished_and_whole(trained: tuple[Path, Path]):
    _, run = trained
    manifest = read_json(run / "manifest.json")
    assert manifest["state"] == "finished"
    assert manifest["held_out_views"] == ["view_05.png"] or manifest["held_out_views"] == ["images/view_05.png"]
    assert set(manifest["seconds"]) >= {"frames", "masks", "embeddings", "codec", "colour", "language"}
    assert manifest["quality"]["psnr_training_db"] > 13
    for name in ("config.yml", "capture.json", "field.safetensors", "codec.safetensors", "point_cloud.ply"):
        assert (run / name).stat().st_size > 0, name


def test_the_next_run_of_the_process_does_not_write_into_this_ones_logs(trained: tuple[Path, Path]):
    from nerfstudio.utils import writer

    assert list(trained[1].glob("events.out.tfevents*"))
    assert writer.EVENT_WRITERS == writer.EVENT_STORAGE == []


@pytest.mark.parametrize("thing", list(BALLS))
def test_words_lead_to_the_ball(trained: tuple[Path, Path], thing: str):
    run = open_run(trained[1])
    answer = ask(run.field, run.views, run.text_encoder(), thing)
    assert answer.verdict == "found"
    assert answer.position is not None
    centre = ball_centres()[list(BALLS).index(thing)]
    assert np.linalg.norm(np.array(answer.position) - centre) < 0.45


def test_localisation_of_the_balls(trained: tuple[Path, Path]):
    scene, folder = trained
    run = open_run(folder)
    scores = score_field(run.field, run.frames, read_labels(scene / "label", run.frames), run.text_encoder())
    assert len(scores) >= 15
    assert np.mean([s.hit for s in scores]) > 0.8


def test_lifted_codes_find_the_balls(trained: tuple[Path, Path]):
    from nerfstudio.utils.eval_utils import eval_setup

    scene, first = trained
    folder = train(tiny_config(scene, scene.parent, language=LanguageSettings(mode="lift"), compress="codebook"))
    run = open_run(folder)
    assert torch.equal(run.field.gaussians.means, open_run(first).field.gaussians.means)
    assert run.field.reliability is not None
    scores = score_field(run.field, run.frames, read_labels(scene / "label", run.frames), run.text_encoder())
    assert np.mean([s.hit for s in scores]) > 0.8
    answer = ask(run.field, run.views, run.text_encoder(), "red ball")
    assert answer.verdict == "found"
    _, pipeline, _, step = eval_setup(folder / "config.yml")
    assert step == 60
    assert pipeline.get_average_eval_image_metrics() is not None
    lifted = replace(SETTINGS, language=LanguageSettings(mode="lift"), compress="codebook")
    again = adopt(
        folder / "point_cloud.ply", scene, scene.parent, replace(lifted, cache_dir=scene.parent / "cache")
    )  # splats that went out and came in again answer as they did before
    assert torch.equal(open_run(again).field.codes, run.field.codes)  # pyright: ignore


def test_features_go_out_to_langsplats_files_and_a_run_is_trained_from_them(
    trained: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    scene, first = trained
    features(first, export=tmp_path / "language_features", json=True)
    report = json.loads(capfd.readouterr().out)
    files = list((tmp_path / "language_features").iterdir())
    assert report["export"]["bytes"] == sum(f.stat().st_size for f in files) == report["size"]["langsplat_bytes"]
    assert len(files) == 2 * report["size"]["frames"] == 10
    assert read_json(first / "manifest.json")["features"] == report["size"]
    run = open_run(train(tiny_config(scene, scene.parent, language_features=tmp_path / "language_features")))
    for frame in run.frames:
        ours, theirs = run.features(frame), open_run(first).features(frame)
        assert (ours is None) == (theirs is None)
        if ours and theirs:
            assert torch.equal(pixels(ours), pixels(theirs))
    scores = score_field(run.field, run.frames, read_labels(scene / "label", run.frames), run.text_encoder())
    assert np.mean([s.hit for s in scores]) > 0.8
    assert "LangSplat" in run.field.provenance["image_encoder"]["origin"]
    features(first)
    assert "times as much" in capfd.readouterr().out


def pixels(found: FrameFeatures) -> torch.Tensor:
    """Vector of every pixel and level, zero where there is none."""
    segments, vectors = found.load()
    return torch.cat([vectors, torch.zeros(1, vectors.shape[1])])[torch.from_numpy(segments.ids).long()]


def test_words_cannot_be_trained(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        train(tiny_config(write_tiny_scene(tmp_path / SCENE), tmp_path, compress="codebook"))
    assert "choose language mode lift" in capfd.readouterr().err


def test_nerfstudio_loads_the_run_safely(trained: tuple[Path, Path]):
    from nerfstudio.utils.eval_utils import eval_setup

    _, pipeline, checkpoint, step = eval_setup(trained[1] / "config.yml")
    assert step == 83
    metrics = pipeline.get_average_eval_image_metrics()
    assert metrics is not None
    told = read_json(trained[1] / "manifest.json")["quality"]["psnr_held_out_db"]
    assert metrics["psnr"] == pytest.approx(told, abs=0.1)
    state = torch.load(checkpoint, weights_only=True)
    assert state["step"] == 83


def test_the_same_command_again_uses_what_is_there(trained: tuple[Path, Path], capfd: pytest.CaptureFixture[str]):
    scene, first = trained
    second = train(tiny_config(scene, scene.parent, language=open_settings(first)))
    said = capfd.readouterr().err
    assert "masks: 6" not in said or "cached" in said
    assert "colour: cached" in said
    assert second != first
    one, two = open_run(first).field, open_run(second).field
    assert torch.equal(one.gaussians.means, two.gaussians.means)


def open_settings(run: Path):
    """The run's language settings with another rate: only the language stage has to run again."""
    data = json.loads((run / "manifest.json").read_text())["settings"]["language"]
    return LanguageSettings(**{**data, "lr": 0.01})


def test_a_folder_without_a_run_is_said(tmp_path: Path):
    with pytest.raises(FormatError, match="no finished run"):
        open_run(tmp_path)


@pytest.mark.parametrize("damage", ["no data", "missing picture", "nan pose", "climbing path", "no frames"])
def test_bad_input_is_one_sentence_and_leaves_nothing(damage: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    scene = write_tiny_scene(tmp_path / SCENE, 3)
    meta = json.loads((scene / "transforms.json").read_text())
    if damage == "missing picture":
        (scene / meta["frames"][1]["file_path"]).unlink()
    elif damage == "nan pose":
        meta["frames"][0]["transform_matrix"][0][3] = float("nan")
    elif damage == "climbing path":
        meta["frames"][0]["file_path"] = "../outside.png"
    elif damage == "no frames":
        meta["frames"] = []
    (scene / "transforms.json").write_text(json.dumps(meta))
    data = tmp_path / "nowhere" if damage == "no data" else scene
    with pytest.raises(SystemExit) as stop:
        train(tiny_config(data, tmp_path))
    assert stop.value.code == 1
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(said) == 1
    assert not (tmp_path / "outputs").exists()
    assert not (tmp_path / "cache").exists()
