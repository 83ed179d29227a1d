"""`langfield eval` on a run written here: reports, absent names, JSON."""

import json
from pathlib import Path

import pytest

from langfield.artefacts import write_json
from langfield.capture.points import no_points
from langfield.capture.types import Capture
from langfield.cli import main
from langfield.run import write_results
from tests.evaluate.scored import FRAMES, NAMES, blob_field, write_blob_labels


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    write_results(folder, blob_field(), Capture(tmp_path, tuple(FRAMES), no_points()), {})
    about = {"training_views": NAMES[:2], "settings": {"text_encoder": "tests.blobs:Words"}}
    write_json(folder / "manifest.json", {"version": 1, "state": "finished", **about})
    return folder


def test_json_holds_every_protocol_and_both_scores_of_absence(run, tmp_path, capsys):
    labels, out = write_blob_labels(tmp_path / "scene" / "label"), tmp_path / "out"
    words = ["eval", str(run), "--labels", str(labels), "--out", str(out), "--absent", "--json", "--protocol"]
    with pytest.raises(SystemExit) as stop:
        main([*words, "lerf-ovs-2d", "lerf-ovs-3d-held-out"])
    assert stop.value.code == 0
    data = json.loads(capsys.readouterr().out)
    assert [(s["protocol"], s["queries"]) for s in data["summaries"]] == [
        ("lerf-ovs-2d", 4),
        ("lerf-ovs-3d-held-out", 2),
    ]
    assert [(a["score"], len(a["present"]), len(a["absent"])) for a in data["absent"]] == [
        ("calibrated score", 2, 100),
        ("peak relevancy", 2, 100),
    ]
    assert data["absent"][1]["auroc"] == 1.0
    assert all(Path(report).read_text().startswith("<!doctype html>") for report in data["reports"])
    assert json.loads((out / "summary.json").read_text()) == data
    assert "scene/label" in (out / "lerf-ovs-2d" / "report.html").read_text()


def test_text_names_protocols_and_the_lack_of_held_out_views_is_one_sentence(run, tmp_path, capsys):
    labels = write_blob_labels(tmp_path / "label", FRAMES[:2])
    with pytest.raises(SystemExit) as stop:
        main(["eval", str(run), "--labels", str(labels), "--protocol", "lerf-ovs-3d"])
    assert stop.value.code == 0
    assert "field: protocol lerf-ovs-3d, version 1, 4 queries, 2 names" in capsys.readouterr().out
    assert (run / "eval" / "lerf-ovs-3d" / "field" / "queries.csv").is_file()
    with pytest.raises(SystemExit) as stop:
        main(["eval", str(run), "--labels", str(labels), "--protocol", "lerf-ovs-3d-held-out"])
    assert stop.value.code == 1
    assert "none is held out" in capsys.readouterr().err
