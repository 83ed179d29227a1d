"""The GPU's fitting bench, run between two CPUs: it measures both, and equal devices lift equal codes."""

import torch

from langfield.commands import bench_gpu


def test_bench_measures_both_places(monkeypatch):
    monkeypatch.setattr(bench_gpu, "WIDTH", 64)
    monkeypatch.setattr(bench_gpu, "HEIGHT", 48)
    found = bench_gpu.bench_fit(torch.device("cpu"), steps=3, n=300)
    assert found["colour_step_ms_cpu"] > 0
    assert 5 < found["psnr_db_cpu"] < 60
    assert found["codes_lifted_otherwise"] == "0.00e+00"


def test_cameras_differ_and_look_at_the_scene():
    made = bench_gpu._make(300)
    poses = torch.stack([c.T_world_camera for c in made.cameras])
    assert len(poses.unique(dim=0)) == len(poses)
    assert all(float(photo.std()) > 0.01 for photo in made.photos)
    assert made.views[0].ids.shape[1:] == (made.cameras[0].height, made.cameras[0].width)
