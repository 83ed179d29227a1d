# pyright: reportOptionalMemberAccess=false
"""A screen is made once and answers any number of questions, pictures among them."""

from dataclasses import replace

import pytest
import torch

from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.raster import Gaussians, RasterOptions, rasterize, to_screen, top_contributors
from langfield.raster.screen import draw
from tests.raster.scenes import camera, channels, gaussians

BACKENDS = ["reference", "cpu"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_screen_draws_what_rasterize_draws(backend):
    scene, cam, chans = gaussians(40, 3), camera(), channels(40, 3, 3)
    options = RasterOptions(sh_degree=1, smooth_cutoff=True)
    screen = to_screen(scene, cam, options, backend)
    assert (len(screen), screen.size, screen.smooth, screen.backend) == (40, (40, 24), True, backend)
    whole, again = rasterize(scene, cam, chans, options, backend), draw(screen, chans)
    for name in ("alpha", "depth", "colour", "channels", "means2d", "radii"):
        assert getattr(whole, name).equal(getattr(again, name)), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_flow_through_a_screen_and_questions_leave_them_alone(backend):
    leaves = [t.requires_grad_() for t in gaussians(40, 3).tensors()]
    screen = to_screen(Gaussians(*leaves), camera(), backend=backend)
    ids, weights = top_contributors(screen, 2)
    assert not weights.requires_grad
    assert ids.max() >= 0
    draw(screen).colour.sum().backward()
    assert all(leaf.grad is not None and leaf.grad.abs().sum() > 0 for leaf in leaves)


def test_what_rasterize_refuses_a_screen_refuses():
    scene, cam = gaussians(4, 0), camera()
    with pytest.raises(FormatError, match="quats"):
        to_screen(replace(scene, quats=torch.ones(4, 3)), cam)
    with pytest.raises(SettingsError, match="near"):
        to_screen(scene, cam, RasterOptions(near=0))
    with pytest.raises(SettingsError, match="picture side"):
        to_screen(scene, replace(cam, width=0))
    with pytest.raises(EnvironmentProblem):
        to_screen(scene, cam, backend="cuda")
