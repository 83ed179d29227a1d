"""Where a run computes: what is wanted and cannot be had is said, and nothing but the device changes."""

import pytest
import torch

from langfield import device
from langfield.errors import EnvironmentProblem
from langfield.settings import RunSettings


class Model:
    place = torch.device("cpu")

    def to(self, place: torch.device) -> None:
        self.place = place


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize("choose", [device.model_device, device.raster_device])
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(choose):
    assert choose("auto") == choose("cpu") == torch.device("cpu")
    with pytest.raises(EnvironmentProblem, match="no GPU"):
        choose("cuda")


def test_beside_a_gpu_that_cannot_draw_networks_use_it_and_gaussians_say_why_not(monkeypatch, capsys):
    def lacking() -> None:
        raise EnvironmentProblem("PyCUDA is not installed", None, "install it")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "require_driver", lacking)
    assert device.model_device("auto").type == "cuda"
    assert device.raster_device("auto").type == "cpu"
    assert "PyCUDA is not installed" in capsys.readouterr().err
    with pytest.raises(EnvironmentProblem, match="PyCUDA"):
        device.raster_device("cuda")


def test_models_that_can_move_do_and_others_stay():
    there, plain = torch.device("cuda", 0), object()
    assert device.moved(Model(), there).place == there
    assert device.moved(plain, there) is plain


def test_the_device_does_not_name_another_result():
    assert RunSettings(device="cpu").key() == RunSettings(device="cuda").key() != RunSettings(seed=1).key()
