"""`langfield reproduce` on a stand-in benchmark: two small scenes under the names of LERF-OVS's."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from langfield.commands import reproduce as command
from langfield.commands.reproduce import as_data, as_text, reproduce_scenes
from langfield.errors import FormatError
from langfield.evaluate.benchmarks import BENCHMARKS, find_scenes
from langfield.field.language import LanguageSettings
from langfield.plugin.launch import train_run
from langfield.settings import RunSettings
from tests.plugin.driving import SETTINGS
from tests.tiny import write_tiny_scene

LERF = BENCHMARKS["lerf-ovs"]


def stand_in(folder: Path) -> Path:
    """Scenes figurines and ramen as LERF-OVS packs them: captures side by side, labels in a folder of their own."""
    scene = write_tiny_scene(folder / "figurines", 4)
    shutil.copytree(scene, folder / "ramen")
    for name in ("figurines", "ramen"):
        (folder / "label").mkdir(exist_ok=True)
        (folder / name / "label").rename(folder / "label" / name)
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, RunSettings, command.Reproduced]:
    folder = tmp_path_factory.mktemp("reproduce")
    data, out = stand_in(folder / "lerf_ovs"), folder / "out"
    settings = dataclasses.replace(
        SETTINGS,
        cache_dir=folder / "cache",
        hold_out_every=4,
        language=LanguageSettings(mode="lift"),
        compress="codebook",
    )
    return data, out, settings, reproduce_scenes(LERF, find_scenes(LERF, data), out, settings, train_run)


def test_every_scene_and_protocol_has_numbers_and_a_report(done):
    _, out, _, found = done
    assert not found.failed
    protocols = {"lerf-ovs-2d", "lerf-ovs-3d", "lerf-ovs-2d-held-out", "lerf-ovs-3d-held-out"}
    assert set(found.summaries) == protocols
    assert all(list(ours) == ["figurines", "ramen"] for ours in found.summaries.values())
    assert found.summaries["lerf-ovs-2d"]["ramen"].value("localisation") > 0.7
    assert found.summaries["lerf-ovs-2d-held-out"]["ramen"].queries == 3
    assert (out / "ramen" / "lerf-ovs-3d" / "report.html").is_file()


def test_published_rows_stand_beside_ours_and_half_a_benchmark_has_no_mean(done):
    _, _, settings, found = done
    text = as_text(found)
    ours, printed = (next(line for line in text.splitlines() if name in line) for name in ("langfield", "LangSplat "))
    summary = found.summaries["lerf-ovs-2d"]["figurines"]
    assert f"{100 * summary.value('mIoU'):.1f} / {100 * summary.value('localisation'):.1f}" in ours
    assert ours.count("/") == 2
    assert "51.4 / 84.3   LangSplat, arXiv 2312.16084" in printed
    data = json.loads(json.dumps(as_data(found, settings), default=vars))
    assert data["tables"]["lerf-ovs-3d"][0]["method"] == "langfield"
    assert "mean" not in data["tables"]["lerf-ovs-3d"][0]["cells"]


def test_the_same_again_trains_and_scores_nothing(done, monkeypatch):
    data, out, settings, found = done

    def never(*_):
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(command, "evaluate_protocol", never)
    monkeypatch.setattr("nerfstudio.scripts.train.train_loop", never)
    again = reproduce_scenes(LERF, find_scenes(LERF, data), out, settings, train_run)
    assert again.summaries == found.summaries


def test_new_labels_are_scored_again_and_a_scene_that_fails_does_not_end_the_others(done, tmp_path):
    data, out, settings, found = done
    mine = tmp_path / "label"
    shutil.copytree(data / "label", mine)
    (mine / "ramen" / "view_00.json").unlink()
    for path in (mine / "figurines").iterdir():
        path.write_text("{")
    scenes = [dataclasses.replace(s, labels=mine / s.name) for s in find_scenes(LERF, data)]
    again = reproduce_scenes(
        LERF, scenes, tmp_path / "out", settings, lambda data, _, s: train_run(data, out / "runs", s)
    )
    assert list(again.failed) == ["figurines"]
    assert again.summaries["lerf-ovs-3d"]["ramen"].queries == found.summaries["lerf-ovs-3d"]["ramen"].queries - 3


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(FormatError, match="figurines, ramen, teatime, waldo_kitchen"):
        find_scenes(LERF, tmp_path)
    (tmp_path / "label" / "ramen").mkdir(parents=True)
    (tmp_path / "ramen").mkdir()
    assert [s.name for s in find_scenes(LERF, tmp_path)] == ["ramen"]
    with pytest.raises(FormatError, match="lacks teatime"):
        find_scenes(LERF, tmp_path, ("teatime",))
