"""SIGKILL during each stage: the same command goes on and ends with the result of an undisturbed run."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from langfield.artefacts import read_json, read_tensors
from tests.plugin.driving import tiny_config, train
from tests.series import cases
from tests.tiny import write_tiny_scene


def child(scene: Path, out: Path) -> int:
    """Start training in a child process (a fork, so that the imports are paid once) and give its number."""
    import langfield.plugin.config  # noqa: F401 - paid here, before the fork

    number = os.fork()
    if number == 0:
        code = 1
        try:
            torch.set_num_threads(1)  # threads of the parent do not survive a fork
            train(tiny_config(scene, out))
            code = 0
        finally:
            os._exit(code)
    return number


def kill_when(number: int, ready: Callable[[], bool], delay_s: float) -> bool:
    """Kill the child `delay_s` after `ready` first holds; gives whether it was still alive then."""
    end = time.monotonic() + 120
    while time.monotonic() < end and not ready():
        if os.waitpid(number, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(delay_s)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return True


def made(out: Path, pattern: str) -> Callable[[], bool]:
    return lambda: next(iter(out.glob(pattern)), None) is not None


STAGES = {
    "frames": "cache/frames/*/*",
    "masks": "cache/segments/*/*.npz",
    "embeddings": "cache/embeddings/*/*.safetensors",
    "codec": "cache/embeddings/*/*.safetensors",
    "colour": "outputs/*/*/*/nerfstudio_models/step-*.ckpt",
    "language": "cache/geometry/*/*.pt",
    "writing": "outputs/*/*/*/field.safetensors",
}


def finished(out: Path) -> bool:
    """Whether the run was over before the signal came; its result is then compared as it is."""
    return any(read_json(m)["state"] == "finished" for m in out.glob("outputs/*/*/*/manifest.json"))


def result(out: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the one run below `out`."""
    (field,) = out.glob("outputs/*/*/*/field.safetensors")
    return read_tensors(field)[0] | read_tensors(field.with_name("codec.safetensors"))[0]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    out = tmp_path_factory.mktemp("undisturbed")
    scene = write_tiny_scene(out / "scene")
    number = child(scene, out)
    assert os.waitpid(number, 0)[1] == 0
    return scene, result(out)


@pytest.mark.parametrize("again", range(cases(1, 15)))
@pytest.mark.parametrize("stage", list(STAGES))
def test_kill(stage: str, again: int, undisturbed: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path):
    scene, expected = undisturbed
    delay_s = 0.0 if stage == "writing" else random.Random(f"{stage} {again}").uniform(0, 0.3)
    killed = kill_when(child(scene, tmp_path), made(tmp_path, STAGES[stage]), delay_s)
    if killed and not finished(tmp_path):
        assert os.waitpid(child(scene, tmp_path), 0)[1] == 0
    found = result(tmp_path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
