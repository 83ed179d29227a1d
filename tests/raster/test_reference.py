# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false, reportReturnType=false
"""The specification against closed forms and numerical derivatives."""

import math

import pytest
import torch

from langfield.capture.types import Camera
from langfield.raster import Gaussians, RasterOptions, rasterize
from langfield.raster.reference import harmonics, rotations
from tests.raster.scenes import camera, channels, gaussians

F64 = torch.float64
BACKENDS = ["reference", "cpu"]


def straight(width: int = 32, height: int = 32, focal: float = 32.0) -> Camera:
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=F64)
    return Camera(K, width, height, torch.eye(4, dtype=F64))


def ball(x: float, y: float, z: float, opacity: float, colour: float, radius: float = 0.1) -> Gaussians:
    one = lambda *v: torch.tensor([v], dtype=torch.float32)  # noqa: E731
    sh = torch.full((1, 1, 3), (colour - 0.5) / 0.28209479177387814)
    return Gaussians(
        one(x, y, z), one(1, 0, 0, 0), one(*[math.log(radius)] * 3), torch.logit(torch.tensor([opacity])), sh
    )


def together(*parts: Gaussians) -> Gaussians:
    return Gaussians(*(torch.cat(t) for t in zip(*(p.tensors() for p in parts), strict=True)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_gaussian_is_the_bell_it_should_be(backend):
    # On the axis at depth 2 with focal 32: variance (0.1 * 32 / 2)^2 + 0.3 pixels, no skew.
    view = rasterize(ball(0, 0, 2, 0.8, 0.7), straight(), backend=backend)
    offsets = torch.arange(32) + 0.5 - 16
    square = offsets[:, None] ** 2 + offsets[None] ** 2
    alpha = 0.8 * torch.exp(-square / (2 * (1.6**2 + 0.3)))
    alpha = torch.where(alpha >= 1 / 255, alpha, 0)
    torch.testing.assert_close(view.alpha, alpha, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(view.depth, 2 * alpha, atol=4e-6, rtol=1e-5)
    torch.testing.assert_close(view.colour, (0.7 * alpha)[..., None].expand(-1, -1, 3), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_overlapping_gaussians_blend_near_over_far(backend, order):
    pair = [ball(0.03125, 0.03125, 2, 0.6, 0.9), ball(0.046875, 0.046875, 3, 0.5, 0.2)]  # both centred on a pixel
    view = rasterize(together(*(pair[i] for i in order)), straight(), backend=backend)
    assert view.alpha[16, 16].item() == pytest.approx(1 - 0.4 * 0.5, abs=1e-5)
    assert view.colour[16, 16, 0].item() == pytest.approx(0.6 * 0.9 + 0.4 * 0.5 * 0.2, abs=1e-5)
    assert view.depth[16, 16].item() == pytest.approx(0.6 * 2 + 0.4 * 0.5 * 3, abs=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_pixel_stops_before_the_gaussian_that_would_fill_it(backend):
    centre = 0.5 / 32
    layers = [ball(centre * z, centre * z, z, 0.99, 0.1 * z) for z in (1.0, 2.0, 3.0)]
    view = rasterize(together(*layers), straight(), backend=backend)
    # What passes: 1, 0.01, then 1e-4, which closes the pixel; the second and third are not drawn there.
    assert 1 - view.alpha[16, 16].item() == pytest.approx(0.01, rel=1e-2)
    assert view.colour[16, 16, 0].item() == pytest.approx(0.99 * 0.1, rel=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_scene_and_scene_behind_the_camera_are_black(backend):
    nothing = Gaussians(*(t[:0] for t in gaussians(1, 0).tensors()))
    for scene in (nothing, ball(0, 0, -2, 0.9, 0.9), ball(0, 0, 0.001, 0.9, 0.9), ball(50, 0, 2, 0.9, 0.9)):
        view = rasterize(scene, straight(33, 17), channels=torch.ones(len(scene), 5), backend=backend)
        assert view.channels.shape == (17, 33, 5)
        assert not any(t.any() for t in (view.alpha, view.depth, view.colour, view.channels, view.radii))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gaussian_on_a_tile_border_has_no_seam(backend):
    view = rasterize(ball(0, 0, 2, 0.8, 0.7), straight(), backend=backend)  # centre at (16, 16), a corner of four tiles
    for flipped in (view.alpha.flip(0), view.alpha.flip(1), view.alpha.T):
        torch.testing.assert_close(view.alpha, flipped, atol=1e-6, rtol=1e-6)
    moved = rasterize(ball(0, 0, 2, 0.8, 0.7), straight(32, 64), backend=backend)  # the same at (16, 32)
    torch.testing.assert_close(moved.alpha[16:48], view.alpha, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "logit_opacities", "sh"])
def test_a_value_that_is_not_finite_leaves_its_gaussian_out(backend, name):
    scene = together(*(ball(0.1 * i, 0, 2, 0.8, 0.7) for i in range(5)))
    for row, value in enumerate((math.nan, math.inf, -math.inf)):
        getattr(scene, name)[row].view(-1)[-1] = value
    radii = rasterize(scene, straight(), backend=backend).radii
    assert not radii[:3].any()
    assert radii[3:].all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_quaternions_of_any_length_turn_alike_until_their_square_is_lost(backend):
    scene = together(*(ball(0.1 * i, 0, 2, 0.8, 0.7) for i in range(6)))
    scene.quats.mul_(torch.tensor([1e-14, 1.0, 1e18, 0, 1e-16, 1e20])[:, None])
    radii = rasterize(scene, straight(), backend=backend).radii
    assert radii[:3].all()
    assert not radii[3:].any()


def test_harmonics_are_orthonormal():
    g = torch.Generator().manual_seed(0)
    d = torch.nn.functional.normalize(torch.randn(400_000, 3, generator=g, dtype=F64), dim=1)
    Y = harmonics(d, 3)
    torch.testing.assert_close(4 * math.pi * Y.T @ Y / len(d), torch.eye(16, dtype=F64), atol=0.03, rtol=0)


def test_rotations_are_rotations_and_turn_the_right_way():
    R = rotations(torch.randn(20, 4, dtype=F64, generator=torch.Generator().manual_seed(1)))
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=F64).expand(20, 3, 3))
    quarter = rotations(torch.tensor([[1.0, 0, 0, 1.0]], dtype=F64))[0]  # about z
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0], dtype=F64), torch.tensor([0, 1.0, 0], dtype=F64))


def test_gradients_match_numerical_ones_in_double():
    scene, cam = gaussians(6, 3, F64, size=-1.2), camera(8, 8)
    chans, T = channels(6, 2, 0, F64), cam.T_world_camera
    options = RasterOptions(smooth_cutoff=True)

    def f(*t: torch.Tensor) -> tuple[torch.Tensor, ...]:
        posed = Camera(cam.K, 8, 8, t[6])
        view = rasterize(Gaussians(*t[:5]), posed, t[5], options, "reference")
        return view.alpha, view.depth, view.colour, view.channels

    inputs = [t.clone().requires_grad_() for t in (*scene.tensors(), chans, T)]
    assert rasterize(scene, cam).radii.gt(0).all(1).sum() >= 4
    assert torch.autograd.gradcheck(f, inputs, fast_mode=True)
