"""The status network: prototypes of a made history, gradients, and states that plain features cannot follow."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import FormatError, SettingsError
from langfield.field.deform import start_deformation
from langfield.field.hexplane import PlaneSettings, start_planes
from langfield.field.status import StatusNet, mix, net_shares, status_at
from langfield.field.status_fit import StatusFit, StatusSettings, prototypes_of, status_loss
from langfield.raster import rasterize
from langfield.raster.types import RasterOptions
from tests.moving import EACH, FIRST_S, LAST_S, TURNS_S, balls, camera_at, times

G = torch.Generator().manual_seed(0)
SAID = normalize(torch.randn(3, 6, generator=G), dim=-1)
"""Of the red ball; of the other while it is blue; of the other while it is yellow."""


def targets(time_s: float) -> torch.Tensor:
    other = SAID[2] if time_s >= TURNS_S else SAID[1]
    return torch.cat([SAID[:1].expand(EACH, 6), other.expand(EACH, 6)])


def timed_deformation():
    """A deformation whose hidden state knows the time, as one that was trained on what changes does."""
    g = torch.Generator().manual_seed(1)
    planes = start_planes(
        PlaneSettings(grid=(4, 4, 4), times=16, resolutions=(1,), width=8), balls().means, (FIRST_S, LAST_S), g
    )
    slopes = torch.randn(8, 1, 1, generator=g)
    for plane in planes.planes()[0]:
        plane[:] = 1
        if plane.shape[1] == 16:  # a view of the cells: rows run along time
            plane.add_(slopes * torch.linspace(-0.5, 0.5, 16)[:, None])
    return start_deformation(planes, ("means",), 16, 1, g)


def test_prototypes_are_the_means_of_what_was_said():
    g = torch.Generator().manual_seed(2)
    state = torch.randint(0, 3, (30, 5), generator=g)
    codes = SAID[state] + 0.02 * torch.randn(30, 5, 6, generator=g)
    seen = torch.rand(30, 5, generator=g) < 0.8
    seen[:, 4] = False
    found = prototypes_of(codes * 3, seen, 3)
    for n in range(4):
        means = [
            normalize(normalize(codes[:, n], dim=-1)[seen[:, n] & (state[:, n] == k)].sum(0), dim=0) for k in range(3)
        ]
        nearest = (torch.stack(means) @ found[n].T).max(1)
        assert sorted(nearest.indices.tolist()) == [0, 1, 2]
        torch.testing.assert_close(nearest.values, torch.ones(3))
    assert (found[4] == 0).all()


def test_loss_and_mixture_in_closed_form_and_by_finite_differences():
    a, b = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([[0.0, 1], [0, 1]])
    assert float(status_loss(a, b, torch.tensor([1.0, 0]), 0.5)) == pytest.approx(1 + 0.5)
    assert float(status_loss(a, b, torch.ones(2), 0.5)) == pytest.approx(0.75)
    mixed = mix(torch.tensor([[3.0, 0], [0, 2]]), torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(mixed, torch.tensor([0.6, 0.8]))
    g = torch.Generator().manual_seed(3)
    shapes = ((4, 3, 2), (5, 5), (5,), (3, 5), (3,))
    net = [torch.randn(s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]
    hidden, target = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((4, 5), (4, 2)))

    def loss(*tensors):
        made = StatusNet(*tensors)
        return status_loss(mix(made.prototypes, net_shares(made, hidden)), target, torch.ones(4).double(), 1.0)

    assert torch.autograd.gradcheck(loss, net)


@pytest.mark.parametrize(("states", "least", "most"), [(1, 0.0, 0.93), (2, 0.93, 1.0), (3, 0.93, 1.0)])
def test_states_follow_time_per_gaussian_and_per_pixel(states, least, most):
    scene, deformation, at = balls(), timed_deformation(), times(20)
    start = prototypes_of(torch.stack([targets(t) for t in at]), torch.ones(20, 2 * EACH, dtype=torch.bool), states)
    fit = StatusFit(scene, deformation, start, StatusSettings(states=states, lr_net=2e-2))
    before = status_at(fit.net, deformation, scene.means, at[3])
    for step in range(300):
        fit.step_gaussians(at[(7 * step) % 20], targets(at[(7 * step) % 20]), torch.ones(2 * EACH))
    codes = [status_at(fit.net, deformation, scene.means, t) for t in at]
    right = torch.stack(
        [((c @ SAID.T).argmax(1) == (targets(t) @ SAID.T).argmax(1)) for c, t in zip(codes, at, strict=True)]
    )
    assert least <= float(right[:, EACH:].float().mean()) <= most
    assert float(right[:, :EACH].float().mean()) > 0.99
    camera = camera_at(at[3])
    drawn = rasterize(scene, camera, channels=targets(at[3]), options=RasterOptions(colour=False))
    assert drawn.channels is not None
    again = StatusFit(scene, deformation, start, StatusSettings(states=states, lr_net=2e-2))
    logs = [again.step_view(camera, drawn.channels, drawn.alpha > 0.5) for _ in range(12)]
    assert logs[-1]["loss"] <= logs[0]["loss"] + 1e-6
    assert before.shape == codes[0].shape == (2 * EACH, 6)


def test_what_does_not_fit_is_refused():
    scene, deformation = balls(), timed_deformation()
    start = torch.ones(2 * EACH, 3, 6)
    with pytest.raises(SettingsError, match="fit Gaussians"):
        StatusFit(scene, deformation, start[1:], StatusSettings())
    with pytest.raises(SettingsError, match="at least 1"):
        StatusFit(scene, deformation, start, StatusSettings(states=0))
    fit = StatusFit(scene, deformation, start, StatusSettings())
    with pytest.raises(FormatError, match="no time"):
        fit.step_view(replace(camera_at(3.0), time_s=None), torch.ones(48, 64, 6), torch.ones(48, 64) > 0)
