# pyright: reportOptionalMemberAccess=false, reportOptionalSubscript=false, reportArgumentType=false, reportCallIssue=false
"""The CUDA kernels of the main path, run by the emulator, against the specification and the CPU."""

import itertools
import shutil
from collections.abc import Iterator

import pytest
import torch

from langfield.capture.types import Camera
from langfield.errors import SettingsError
from langfield.raster import Gaussians, RasterOptions, cuda, ops
from langfield.raster.cpu import Tiles
from langfield.raster.dispatch import pinhole_of
from langfield.raster.measure.agreement import agree_all, cases, draw_by, draw_with
from langfield.raster.threads import kernels_only
from tests.raster.emulated.draw import draw_emulated, drawer, emulated
from tests.raster.scenes import camera, channels, draw_with_gradients, gaussians
from tests.raster.test_cpu import BROKEN, agree, poisoned


@pytest.fixture(autouse=True)
def _small_operators() -> Iterator[None]:
    with kernels_only():
        yield


pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator is compiled by g++")


def compare(scene: Gaussians, cam: Camera, chans: torch.Tensor, options: RasterOptions | None = None) -> None:
    """Compare pixels and all gradients with the specification's, as test_cpu does."""
    slow = draw_with_gradients(scene, cam, chans, options, "reference")
    fast = draw_emulated(scene, cam, chans, options)
    assert slow.view.radii.equal(fast.view.radii)
    for a, b in zip(slow.outputs, fast.outputs, strict=True):
        off = (a - b).abs() > 1e-4 * (1 + a.abs())
        assert off.numel() == 0 or off.float().mean() <= 1e-4
    for name, grad in slow.grads.items():
        agree(grad, fast.grads[name], name)


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("many", [1, 3, 8, 16, 67])
def test_agrees_with_the_specification(many, smooth):
    seed = many + smooth
    compare(gaussians(60, seed), camera(), channels(60, many, seed), RasterOptions(smooth_cutoff=smooth))


def test_agrees_with_cpu_and_reference_where_pictures_are_hard():
    backends = {"reference": draw_with("reference"), "cpu": draw_with("cpu"), "cuda": draw_by(drawer(emulated()))}
    for pair, report in agree_all(backends, cases([50], (3, 67))).items():
        assert report["complaints"] == [], pair


@pytest.mark.parametrize("many", [0, 40, 130, 200])
def test_chunks_of_channels_add_up(many):
    compare(gaussians(25, many), camera(21, 18), channels(25, many, 1))


@pytest.mark.parametrize(("n", "opacity"), [(900, -3.0), (900, 4.0)])
def test_more_gaussians_in_a_tile_than_a_batch_holds(n, opacity):
    scene = gaussians(n, 2, size=-1.5)
    faint = Gaussians(*scene.tensors()[:3], scene.logit_opacities * 0.3 + opacity, scene.sh)
    compare(faint, camera(20, 17), channels(n, 5, 2))


@pytest.mark.parametrize("size", [-4.5, -1.0, 1.0])
def test_pixel_sized_and_screen_filling_gaussians(size):
    compare(gaussians(50, 3, size=size), camera(83, 50), channels(50, 3, 3))


def test_needles():
    scene = gaussians(60, 4)
    scales = scene.log_scales + torch.tensor([2.0, -2.0, -2.0])  # more flips pixels in any float32
    needles = Gaussians(scene.means, scene.quats, scales, scene.logit_opacities, scene.sh)
    compare(needles, camera(83, 50), channels(60, 3, 4))


def test_nothing_and_one():
    compare(gaussians(1, 3), camera(), channels(1, 3, 1))
    behind = gaussians(5, 1)
    behind.means[:, 2] = -9
    for scene in (gaussians(0, 0), behind):
        drawn = draw_emulated(scene, camera(), channels(len(scene), 3, 0))
        assert all(not o.any() for o in drawn.outputs)
        assert all(not grad.any() for grad in drawn.grads.values())


def test_lower_degrees_fewer_coefficients_and_no_colour():
    scene, cam, chans = gaussians(40, 5), camera(), channels(40, 2, 5)
    compare(scene, cam, chans, RasterOptions(sh_degree=2))
    for k in (1, 9):
        compare(Gaussians(*scene.tensors()[:4], scene.sh[:, :k]), cam, chans)
    draw = drawer(emulated())
    without = draw(scene, cam, chans, RasterOptions(colour=False))
    assert without.colour is None
    assert without.channels.equal(draw(scene, cam, chans).channels)
    assert draw(scene, cam).depth.equal(without.depth)


def test_order_of_threads_does_not_change_a_bit_of_the_picture():
    scene, cam, chans = gaussians(300, 6), camera(), channels(300, 20, 6)
    one, *others = (draw_emulated(scene, cam, chans, seed=seed) for seed in (0, 1, 2))
    for other in others:
        assert all(a.equal(b) for a, b in zip(one.outputs, other.outputs, strict=True))
        for name, grad in one.grads.items():  # atomic sums come in any order
            torch.testing.assert_close(other.grads[name], grad, atol=1e-4 * float(grad.abs().max()), rtol=1e-4)


def test_no_race_and_no_access_outside():
    scene, cam, chans = gaussians(300, 7, size=-2.0), camera(20, 19), channels(300, 21, 7)
    checked = draw_with_gradients(scene, cam, chans, draw=drawer(emulated(seed=3, checked=True)))
    agree(draw_emulated(scene, cam, chans).grads["means"], checked.grads["means"], "means")


def splats_of(scene: Gaussians, cam: Camera) -> list[torch.Tensor]:
    """Give means2d, conics, opacities, depths and radii, by the CPU."""
    pin = pinhole_of(cam, torch.float32)
    lens = (list(pin.intrinsics), cam.width, cam.height, 3, 0.01, 0.3)
    means2d, conics, depths, opacities, _, radii = ops.project(*scene.tensors(), pin.viewmat, *lens)
    return [means2d, conics, opacities, depths, radii]


@pytest.mark.parametrize(
    ("n", "size", "spread"), [(400, (150, 100), -3.0), (60, (700, 500), 0.0), (9, (3000, 3200), -1.0), (0, (20, 20), 0)]
)
def test_lists_are_those_of_the_cpu(n, size, spread):
    cam = camera(*size)
    splats = splats_of(gaussians(n, 8, size=spread), cam)
    splats[3][::7] = splats[3][: splats[3][::7].shape[0]]  # some at the same depth: the scene's order decides
    tiles = cuda.bin_tiles(emulated(), splats, size)
    wanted = Tiles(*ops.bin_tiles(*splats, *size), splats[4])
    for name in ("first", "start", "gaussian", "slot"):
        assert getattr(tiles, name).equal(getattr(wanted, name)), name


def test_more_entries_than_can_be_listed_are_refused_before_memory_is_taken():
    def launch(kernel: str, *arguments: object) -> None:
        assert kernel == "count_tiles"
        arguments[-1].fill_(2**30)  # type: ignore[attr-defined]

    with pytest.raises(SettingsError, match=r"3221225472 tiles of a 40x24 picture.*draw a smaller picture"):
        cuda.bin_tiles(launch, splats_of(gaussians(3, 0), camera()), (40, 24))


def test_frozen_geometry_gives_the_same_channel_gradient_and_none_to_the_shape():
    cam, chans, launch = camera(), channels(50, 35, 9), emulated()
    means2d, conics, opacities, depths, radii = splats_of(gaussians(50, 9), cam)
    splats, size = [means2d, conics, opacities, torch.rand(50, 3), depths], (40, 24)
    tiles = cuda.bin_tiles(launch, [means2d, conics, opacities, depths, radii], size)
    colour, depth, through, drawn, last = cuda.blend(launch, splats, chans, tiles, size, False)
    grads = [torch.randn(t.shape) for t in (colour, depth, through, drawn)]
    inputs = ((splats, chans, tiles), (through, last), grads)
    free, frozen = (cuda.blend_backward(launch, *inputs, (False, wanted)) for wanted in (True, False))
    assert all(grad.any() for grad in free)
    assert not any(grad.any() for grad in frozen[:3])
    assert all(a.equal(b) for a, b in zip(free[3:], frozen[3:], strict=True))
    alone = cuda.blend_channels(launch, cuda.pack(launch, splats), chans, tiles, size, False)
    assert alone.equal(drawn)


def test_tensors_that_begin_anywhere_in_memory():
    scene, cam = gaussians(30, 10), camera()
    chans = torch.randn(30 * 8 + 1)[1:].view(30, 8)
    sh = torch.cat([torch.zeros(1), scene.sh.flatten()])[1:].view(30, 16, 3)
    assert {chans.data_ptr() % 16, sh.data_ptr() % 16} == {4}
    moved = Gaussians(*scene.tensors()[:4], sh)
    one, other = draw_emulated(scene, cam, chans.clone()), draw_emulated(moved, cam, chans)
    assert all(a.equal(b) for a, b in zip(one.outputs, other.outputs, strict=True))


def test_broken_numbers_leave_pixels_and_gradients_finite():
    for seed in range(10):
        scene, _ = poisoned(seed, BROKEN)
        drawn = draw_emulated(scene, camera(), channels(40, 3, seed))
        assert all(o.isfinite().all() for o in drawn.outputs), seed
        assert all(grad.isfinite().all() for grad in drawn.grads.values()), seed


def test_every_channel_is_in_one_chunk_and_every_kernel_exists():
    known = emulated().signatures
    for many, base, kind in itertools.product(range(1100), (True, False), ("blend", "unblend")):
        covered = []
        for kernel, c0, chunks in cuda.chunks(kind, many, base):
            assert kernel in known
            width = 0 if kernel.endswith("base") else int(kernel.rsplit("_", 1)[1])
            covered += range(c0, min(many, c0 + width * chunks))
            assert c0 % 4 == 0
            assert not width or c0 + width * (chunks - 1) < many
        assert covered == list(range(many))


def test_operators_know_the_gpu():
    for name in ("project", "project_backward", "bin_tiles", "blend", "blend_backward"):
        assert torch._C._dispatch_has_kernel_for_dispatch_key(f"langfield::{name}", "CUDA"), name
