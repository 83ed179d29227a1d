"""`ns-train langsplat --cluster local` gives the run that the same command gives without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from langfield.artefacts import read_json, read_tensors, write_json
from langfield.field.language import LanguageSettings
from langfield.field.photometric import PhotometricSettings
from tests.plugin.driving import tiny_config, train
from tests.tiny import write_tiny_scene

CHANGES = {
    "language": LanguageSettings(mode="lift"), "photometric": PhotometricSettings(steps=6, max_gaussians=800),
    "hold_out_every": 3,
}  # fmt: skip


@pytest.mark.usefixtures("cluster")
def test_the_same_run(tmp_path: Path):
    scene = write_tiny_scene(tmp_path / "scene")
    (scene / "images" / "view_03.png").write_bytes(b"no picture")
    on_cluster = tiny_config(scene, tmp_path / "cluster", **CHANGES)
    on_cluster.cluster, on_cluster.cluster_workers = "local", 1
    found = train(on_cluster)
    about = read_json(found / "manifest.json")
    assert about["state"] == "finished"
    assert about["cluster"]["left_out"] == ["view_03.png"]
    assert about["cluster"]["stages"]["features"]["done"] == len(about["training_views"]) == 4
    assert about["cluster"]["stages"]["photos"]["failed"][0]["name"] == "view_03.png"
    assert "view_03.png" in (found / "config.yml").read_text(), "so that ns-eval can read the capture"

    alone = tiny_config(scene, tmp_path / "alone", **CHANGES)
    with pytest.raises(SystemExit):
        train(alone)  # alone it says which picture is damaged
    meta = read_json(scene / "transforms.json")
    meta["frames"] = [f for f in meta["frames"] if not f["file_path"].endswith("view_03.png")]
    write_json(scene / "transforms.json", meta)
    expected = train(tiny_config(scene, tmp_path / "alone", **CHANGES))
    for file in ("field.safetensors", "codec.safetensors"):
        theirs, ours = read_tensors(expected / file)[0], read_tensors(found / file)[0]
        assert theirs.keys() == ours.keys()
        for name, tensor in theirs.items():
            assert torch.equal(tensor, ours[name]), name
