"""What a person with a GPU runs, as far as it runs without one: every part on the CPU or on the emulated kernels."""

import contextlib
import shutil
import sys
import types
from pathlib import Path

import pytest
import torch

from langfield.errors import EnvironmentProblem
from langfield.raster.measure import gpu_bench, gpu_checks, gpu_child
from langfield.raster.measure.agreement import draw_by, draw_with
from langfield.raster.measure.gpu_checks import CHECKS, CheckFailed
from tests.raster.emulated.draw import drawer, emulated

CPU = torch.device("cpu")


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_the_agreement_suite_runs_on_the_emulated_kernels():
    draws = {"reference": draw_with("reference"), "cuda": draw_by(drawer(emulated()))}
    report = gpu_checks.agreement(draws, [0])["reference, cuda"]
    assert report["cases"] == 4
    assert report["complaints"] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_one_sentence(tmp_path):
    with pytest.raises(EnvironmentProblem, match="torch sees no GPU"):
        gpu_checks.check_gpu(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["first_in_backward", "draw"])
def test_tasks_of_processes_pass_on_a_picture_and_fail_without_one(task, monkeypatch):
    gpu_child.main([task, "cpu"])
    monkeypatch.setattr(gpu_child, "picture", lambda device: (torch.full((2, 2, 7), float("nan")), []))
    with pytest.raises(SystemExit, match="empty or not finite"):
        gpu_child.main([task, "cpu"])


def test_the_task_of_backward_draws_in_backward(monkeypatch):
    threads = []

    def picture(device):
        threads.append(gpu_child.threading.current_thread() is gpu_child.threading.main_thread())
        assert torch.is_grad_enabled()
        return torch.ones(1), [torch.ones(1)]

    monkeypatch.setattr(gpu_child, "picture", picture)
    gpu_child.first_in_backward(CPU)
    assert threads == [False]


def use_process(monkeypatch, tmp_path: Path, script: str) -> None:
    """Let a shell script stand in for Python."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_a_process_that_fails_or_complains_is_found(monkeypatch, tmp_path):
    use_process(monkeypatch, tmp_path, "echo PyCUDA ERROR >&2; exit 134")
    for check in (gpu_checks.first_call_in_backward, gpu_checks.clean_exit, gpu_checks.cold_cache):
        found = gpu_checks.outcome(check, CPU)
        assert not found["passed"]
        assert "134" in found["found"]
        assert "PyCUDA ERROR" in found["found"]
    use_process(monkeypatch, tmp_path, "echo PyCUDA WARNING >&2")
    assert gpu_checks.outcome(gpu_checks.first_call_in_backward, CPU)["passed"]
    assert "PyCUDA WARNING" in gpu_checks.outcome(gpu_checks.clean_exit, CPU)["found"]
    assert "the cache holds []" in gpu_checks.outcome(gpu_checks.cold_cache, CPU)["found"]


@pytest.fixture
def streams(monkeypatch):
    quiet = types.SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: quiet)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: quiet)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch, "full", lambda *_, **__: None)


def test_another_picture_on_another_stream_is_found(monkeypatch, streams):
    right = (torch.ones(2), [torch.ones(3)])
    pictures = iter([right] * 5 + [(torch.tensor([1, 1.5]), [torch.ones(3)])] + [right] * 99)
    monkeypatch.setattr(gpu_checks, "picture", lambda device: next(pictures))
    with pytest.raises(CheckFailed, match=r"picture 4 on another stream differs by 0.5"):
        gpu_checks.other_stream(CPU)
    assert gpu_checks.other_stream(CPU).startswith("40 pictures equal")
    pictures = iter([right, (torch.ones(2), [torch.tensor([1.0, float("nan"), 1])])])
    with pytest.raises(CheckFailed, match="gradients of turn 0 on another stream differ by nan"):
        gpu_checks.other_stream(CPU)


def test_one_device_only_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert gpu_checks.two_devices(CPU) == "one device only"


def test_the_six_checks_are_there():
    assert len(CHECKS) == 8  # and the questions and the sanitizer


def test_other_answers_are_found(monkeypatch):
    assert gpu_checks.questions(CPU, 500).startswith("relative distance from the CPU's: scatter 0.0e+00")
    once = iter([1.0, 1.01])
    ask = gpu_checks.splat_codes
    monkeypatch.setattr(gpu_checks, "splat_codes", lambda *given: ask(*given) * next(once))
    with pytest.raises(CheckFailed, match=r"'codes': 0\.0(09|1)"):
        gpu_checks.questions(CPU, 500)


def test_the_bench_runs_its_pieces_and_judges_them(monkeypatch):
    monkeypatch.setattr(gpu_bench, "WIDTH", 64)
    monkeypatch.setattr(gpu_bench, "HEIGHT", 48)
    monkeypatch.setattr(gpu_bench, "MANY", 200)

    def once(work, device):
        for do in work.values():
            do()
        return {f"{name}_ms": 2.0 for name in work}

    monkeypatch.setattr(gpu_bench, "interleaved", once)
    found = gpu_bench.measure(CPU)
    assert found["pairs"] > 200
    assert found["gsplat"].startswith("not measured: ")
    assert [(t["name"], t["met"]) for t in found["targets"]] == [("codes_query", False), ("scatter", True)]


def test_the_bench_compares_with_gsplat_where_it_runs(monkeypatch):
    monkeypatch.setattr(gpu_bench, "MANY", 50)
    monkeypatch.setattr(gpu_bench, "gsplat_of", lambda scene, camera, channels: scene.means.sum)
    monkeypatch.setattr(
        gpu_bench, "interleaved", lambda work, device: {f"{n}_ms": 3.0 if n[0] == "g" else 2.0 for n in work}
    )
    found = gpu_bench.measure(CPU)
    assert (found["forward_ratio"], found["forward_backward_ratio"]) == (1.5, 1.5)
    assert [t["met"] for t in found["targets"][:2]] == [True, True]


def test_the_report_says_what_was_found():
    agreed = {"cases": 4, "lowest_cosine": 0.99999, "highest_l2": 1e-5, "flips_up": 1, "flips_down": 2}
    data = {
        "machine": {"gpu": "A GPU"},
        "agreement": {"cpu, cuda": {**agreed, "complaints": ["3 interior pixels differ"]}},
        "checks": {"clean exit": {"passed": False, "found": "exit code 134"}},
        "timings": {
            "forward_ms": 1.25,
            "targets": [{"name": "scatter", "bound": "3.0 ms", "found": 2.5, "met": True}],
        },
    }
    text = gpu_checks.page(data)
    for part in ("A GPU", "3 interior pixels differ", "| clean exit | **no** | exit code 134 |", "forward_ms: 1.25"):
        assert part in text
    assert "| scatter | 3.0 ms | 2.5 | yes |" in text
