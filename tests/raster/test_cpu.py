# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
"""The compiled kernels against the specification, against finite differences, and against poison."""

import math

import pytest
import torch

from langfield.raster import Gaussians, RasterOptions, ops, rasterize
from langfield.raster.dispatch import pinhole_of
from langfield.raster.threads import kernel_threads, kernels_only
from tests.raster.scenes import camera, channels, draw_with_gradients, gaussians


def agree(a: torch.Tensor, b: torch.Tensor, name: str) -> None:
    """Compare a whole gradient: direction, size, and no row that is silently zero (three views of one error)."""
    a, b = a.double().reshape(len(a), -1), b.double().reshape(len(b), -1)
    if a.norm() == 0:
        assert b.norm() == 0, name
        return
    assert torch.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.9999, name
    assert (a - b).norm() / a.norm() < 1e-3, name
    large = a.norm(dim=1) > 1e-3 * a.norm(dim=1).max()
    ratio = b.norm(dim=1)[large] / a.norm(dim=1)[large]
    assert ratio.min() > 0.1, name
    assert ratio.max() < 10, name


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("many", [1, 3, 16, 67])
def test_agrees_with_the_specification(many, smooth):
    options = RasterOptions(smooth_cutoff=smooth)
    for seed in range(3):
        scene, cam, chans = gaussians(60, seed), camera(), channels(60, many, seed)
        slow, fast = (draw_with_gradients(scene, cam, chans, options, b) for b in ("reference", "cpu"))
        assert slow.view.radii.equal(fast.view.radii)
        for a, b in zip(slow.outputs, fast.outputs, strict=True):
            off = (a - b).abs() > 1e-4 * (1 + a.abs())
            assert off.float().mean() <= 1e-4
        for name, grad in slow.grads.items():
            agree(grad, fast.grads[name], f"{name} seed {seed}")


def test_lower_degrees_and_no_colour_agree():
    scene, cam, chans = gaussians(40, 5), camera(), channels(40, 2, 5)
    for options in (RasterOptions(sh_degree=0), RasterOptions(sh_degree=2)):
        slow, fast = (draw_with_gradients(scene, cam, chans, options, b) for b in ("reference", "cpu"))
        torch.testing.assert_close(slow.outputs, fast.outputs, atol=1e-4, rtol=1e-4)
        agree(slow.grads["sh"], fast.grads["sh"], "sh")
    without = rasterize(scene, cam, chans, RasterOptions(colour=False))
    assert without.colour is None
    torch.testing.assert_close(without.channels, rasterize(scene, cam, chans).channels)


@pytest.mark.parametrize("name", ["means", "quats", "log_scales", "logit_opacities", "sh"])
def test_gradients_match_finite_differences(name):
    cam, options = camera(), RasterOptions(smooth_cutoff=True)
    scene = gaussians(12, 11, size=-1.5)
    weights = torch.randn(cam.height, cam.width, 3, generator=torch.Generator().manual_seed(1))
    parts = dict(zip(("means", "quats", "log_scales", "logit_opacities", "sh"), scene.tensors(), strict=True))

    def loss(value: torch.Tensor) -> torch.Tensor:
        view = rasterize(Gaussians(**(parts | {name: value})), cam, options=options, backend="cpu")
        return ((view.colour * weights).double().sum() + view.depth.double().sum()) / 10

    value = parts[name].clone().requires_grad_()
    loss(value).backward()
    direction = torch.nn.functional.normalize(value.grad.flatten(), dim=0).reshape(value.shape)
    step = 2e-3
    slope = (loss(parts[name] + step * direction) - loss(parts[name] - step * direction)) / (2 * step)
    assert slope.item() == pytest.approx(value.grad.norm().item(), rel=2e-2)


def test_many_channels_are_worked_in_chunks_without_a_seam():
    scene, cam, chans = gaussians(30, 2), camera(), channels(30, 300, 2)
    whole = draw_with_gradients(scene, cam, chans, backend="cpu")
    for start in (0, 60, 64, 128, 299):
        part = rasterize(scene, cam, chans[:, start : start + 1], backend="cpu").channels
        torch.testing.assert_close(whole.outputs[3][..., start : start + 1], part, atol=1e-6, rtol=1e-6)
    agree(draw_with_gradients(scene, cam, chans, backend="reference").grads["means"], whole.grads["means"], "means")


def test_any_number_of_threads_gives_the_same_bits():
    scene, cam, chans = gaussians(6000, 4, size=-3.0), camera(150, 100), channels(6000, 5, 4)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = draw_with_gradients(scene, cam, chans, backend="cpu")
        torch.set_num_threads(2)
        two = draw_with_gradients(scene, cam, chans, backend="cpu")
    finally:
        torch.set_num_threads(before)
    assert all(a.equal(b) for a, b in zip(one.outputs, two.outputs, strict=True))
    assert all(grad.equal(two.grads[name]) for name, grad in one.grads.items())


def test_kernels_only_leaves_torchs_threads_as_they_were():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with kernels_only(), kernels_only():
            assert torch.get_num_threads() == 1
            assert kernel_threads() == 2
        assert torch.get_num_threads() == kernel_threads() == 2
        with pytest.raises(ZeroDivisionError), kernels_only():
            _ = 1 / 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_frozen_geometry_gives_the_same_channel_gradient():
    scene, cam = gaussians(50, 6), camera()
    free = draw_with_gradients(scene, cam, channels(50, 3, 6), backend="cpu").grads["channels"]
    chans = channels(50, 3, 6).requires_grad_()
    drawn = rasterize(scene, cam, chans, backend="cpu").channels
    g = torch.Generator().manual_seed(7)
    for shape in ((24, 40), (24, 40), (24, 40, 3)):
        torch.randn(shape, generator=g, dtype=torch.float64)
    (drawn * torch.randn(drawn.shape, generator=g, dtype=torch.float64).float()).sum().backward()
    assert chans.grad.equal(free)


BROKEN = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-42]
EXTREME = [*BROKEN, 1e38, -1e38, 80.0, -80.0, 1 / 255, 16.0, 1e30]


def poisoned(seed: int, poison: list[float]) -> tuple[Gaussians, torch.Tensor]:
    """Give a scene with 20 numbers replaced, and which of its 40 Gaussians were left alone."""
    g = torch.Generator().manual_seed(seed)

    def below(many: int) -> int:
        return int(torch.randint(0, many, (1,), generator=g))

    tensors = [t.clone() for t in gaussians(40, seed).tensors()]
    clean = torch.ones(40, dtype=torch.bool)
    for _ in range(20):
        victim = tensors[below(5)].view(40, -1)
        row = below(40)
        victim[row, below(victim.shape[1])] = poison[below(len(poison))]
        clean[row] = False
    return Gaussians(*tensors), clean


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_broken_numbers_leave_pixels_and_gradients_finite(backend):
    for seed in range(15):
        scene, _ = poisoned(seed, BROKEN)
        drawn = draw_with_gradients(scene, camera(), channels(40, 3, seed), backend=backend)
        assert all(o.isfinite().all() for o in drawn.outputs), seed
        assert all(grad.isfinite().all() for grad in drawn.grads.values()), seed


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_extreme_numbers_leave_pixels_finite_and_the_others_drawn(backend):
    for seed in range(40 if backend == "cpu" else 8):
        scene, clean = poisoned(seed, EXTREME)
        drawn = draw_with_gradients(scene, camera(), channels(40, 3, seed), backend=backend)
        assert all(o.isfinite().all() for o in drawn.outputs), seed
        alone = rasterize(Gaussians(*(t[clean] for t in scene.tensors())), camera(), backend="cpu")
        assert drawn.view.radii[clean].equal(alone.radii), seed


def test_operators_pass_torchs_own_checks():
    scene, cam = gaussians(20, 8), camera()
    pin = pinhole_of(cam, torch.float32)
    lens = (list(pin.intrinsics), 40, 24, 3, 0.01, 0.3)
    leaves = [t.requires_grad_() for t in scene.tensors()]
    torch.library.opcheck(ops.project, (*leaves, pin.viewmat, *lens))
    with torch.no_grad():
        splats = ops.project(*leaves, pin.viewmat, *lens)
    means2d, conics, depths, opacities, colours, radii = splats
    tiles = ops.bin_tiles(means2d, conics, opacities, depths, radii, 40, 24)
    torch.library.opcheck(ops.bin_tiles, (means2d, conics, opacities, depths, radii, 40, 24))
    inputs = [t.requires_grad_() for t in (means2d, conics, opacities, colours, depths, channels(20, 2, 1))]
    torch.library.opcheck(ops.blend, (*inputs, *tiles, radii, 40, 24, False))
    torch.library.opcheck(ops.ssim, (torch.rand(9, 14, 3, requires_grad=True), torch.rand(9, 14, 3)))
