# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false, reportAttributeAccessIssue=false
"""The photometric fit on a tiny scene drawn by ourselves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from langfield.artefacts import read_tensors, write_tensors
from langfield.capture.types import Camera, Points
from langfield.errors import FormatError, SettingsError
from langfield.field.photometric import (
    PhotometricFit,
    PhotometricSettings,
    neighbour_distance,
    psnr,
    random_points,
    scene_extent,
    step_seed,
    view_order,
)
from langfield.raster import Gaussians, rasterize

SETTINGS = PhotometricSettings(
    steps=80,
    max_gaussians=300,
    densify_from=0.1,
    densify_until=0.9,
    densify_every=10,
    sh_every=20,
    random_background=True,
)


def look(angle: float, width: int = 48, height: int = 36) -> Camera:
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float64)
    c, s = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    T = torch.eye(4, dtype=torch.float64)
    T[0, 0], T[0, 2], T[2, 0], T[2, 2] = c, s, -s, c
    T[:3, 3] = torch.tensor([-3 * s, 0, -3 * c])
    return Camera(K, width, height, T)


@pytest.fixture(scope="module")
def world():
    g = torch.Generator().manual_seed(0)
    xyz = torch.rand(120, 3, generator=g) * 1.6 - 0.8
    sh = torch.randn(120, 1, 3, generator=g)
    truth = Gaussians(xyz, torch.ones(120, 4), torch.full((120, 3), -2.0), torch.full((120,), 2.0), sh)
    views = []
    for i in range(6):
        camera = look(0.25 * (i - 2.5)) if i % 2 else look(0.25 * (i - 2.5), 64, 40)  # two picture sizes
        views.append((camera, rasterize(truth, camera).colour.clamp(0, 1)))
    rgb = ((0.5 + 0.28209 * sh[:, 0]).clamp(0, 1) * 255).to(torch.uint8)
    return Points(xyz[::2] + 0.03, rgb[::2]), views


def run(fit: PhotometricFit, views: list, first: int, last: int) -> list[dict[str, float]]:
    return [fit.step(step, *views[view_order(len(views), step, fit.settings.seed)]) for step in range(first, last)]


def test_fits_views_of_mixed_sizes_and_grows_to_the_cap(world):
    points, views = world
    eager = replace(SETTINGS, densify_gradient=1e-5, max_gaussians=90, random_background=False, lr_means=2e-3)
    fit = PhotometricFit(points, [c for c, _ in views], eager)
    logs = run(fit, views, 0, 80)
    assert logs[0]["n_gaussians"] == 60
    assert 60 < max(log["n_gaussians"] for log in logs) <= 90
    drawn = [psnr(rasterize(fit.gaussians, c).colour.clamp(0, 1), image) for c, image in views]
    start = PhotometricFit(points, [c for c, _ in views], SETTINGS).gaussians
    before = [psnr(rasterize(start, c).colour.clamp(0, 1), image) for c, image in views]
    assert min(drawn) > 20, drawn
    assert min(drawn) > max(before) + 3, before


def test_stopped_and_continued_equals_undisturbed_bit_for_bit(world, tmp_path: Path):
    points, views = world
    cameras = [c for c, _ in views]
    whole, half, rest = (PhotometricFit(points, cameras, SETTINGS) for _ in range(3))
    undisturbed = run(whole, views, 0, 60)
    run(half, views, 0, 35)
    state = half.state()
    assert all(isinstance(v, torch.Tensor | int) for v in state.values())
    write_tensors(tmp_path / "state.safetensors", {k: torch.as_tensor(v) for k, v in state.items()})
    torch.save(state, tmp_path / "state.pt")
    for loaded in (
        read_tensors(tmp_path / "state.safetensors")[0],
        torch.load(tmp_path / "state.pt", weights_only=True),
    ):
        torch.manual_seed(len(loaded))  # whatever goes on around it
        rest.load_state(loaded)
        continued = run(rest, views, 35, 60)
        assert continued == undisturbed[35:]
        for a, b in zip(whole.gaussians.tensors(), rest.gaussians.tensors(), strict=True):
            assert a.equal(b)
        assert all(torch.as_tensor(a).equal(torch.as_tensor(rest.state()[k])) for k, a in whole.state().items())


def test_the_state_is_a_copy_and_a_broken_one_is_refused(world):
    points, views = world
    fit = PhotometricFit(points, [c for c, _ in views], SETTINGS)
    state = fit.state()
    run(fit, views, 0, 2)
    assert not state["param.means"].equal(fit.gaussians.means)
    with pytest.raises(FormatError, match=r"sh0"):
        fit.load_state({k: v for k, v in fit.state().items() if k != "param.sh0"})
    with pytest.raises(FormatError, match="quats"):
        fit.load_state(fit.state() | {"param.quats": torch.zeros(3, 4)})


def test_ambient_randomness_is_neither_used_nor_disturbed(world):
    points, views = world
    ends = []
    for ambient in (1, 2):
        torch.manual_seed(ambient)
        fit = PhotometricFit(points, [c for c, _ in views], SETTINGS)
        run(fit, views, 0, 30)
        torch.manual_seed(ambient)
        expected = torch.rand(3)
        torch.manual_seed(ambient)
        run(fit, views, 30, 31)
        assert torch.rand(3).equal(expected)
        ends.append(fit.gaussians.means)
    assert ends[0].equal(ends[1])


def test_without_points_random_ones_are_used_and_a_person_is_told(world, capsys):
    _, views = world
    cameras = [c for c, _ in views]
    none = Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
    fit = PhotometricFit(none, cameras, SETTINGS)
    assert "no start points" in capsys.readouterr().err
    assert len(fit.gaussians) == 300
    seen = rasterize(fit.gaussians, cameras[0]).radii.gt(0).all(1).float().mean()
    assert seen > 0.3
    assert run(fit, views, 0, 3)[-1]["loss"] < 1
    cloud = random_points(cameras, 50, 1.0, 3)
    assert cloud.xyz.shape == (50, 3)
    assert cloud.xyz.equal(random_points(cameras, 50, 1.0, 3).xyz)


def test_what_does_not_fit_is_refused(world):
    points, views = world
    camera, image = views[0]
    with pytest.raises(SettingsError, match="camera"):
        PhotometricFit(points, [], SETTINGS)
    for bad in (replace(SETTINGS, steps=0), replace(SETTINGS, sh_degree=4), replace(SETTINGS, ssim_weight=2)):
        with pytest.raises(SettingsError):
            PhotometricFit(points, [camera], bad)
    fit = PhotometricFit(points, [camera], SETTINGS)
    with pytest.raises(FormatError, match="size"):
        fit.step(0, camera, image[1:])
    with pytest.raises(FormatError, match="finite"):
        fit.step(0, camera, torch.full_like(image, torch.nan))


def test_more_points_than_allowed_are_thinned(world):
    points, views = world
    fit = PhotometricFit(points, [views[0][0]], replace(SETTINGS, max_gaussians=10))
    assert len(fit.gaussians) == 10
    one = Points(points.xyz[:1], points.rgb[:1])
    assert PhotometricFit(one, [views[0][0]], SETTINGS).gaussians.log_scales.isfinite().all()


def test_every_view_comes_once_per_epoch_in_a_new_order():
    order = [view_order(7, step, 3) for step in range(21)]
    assert all(sorted(order[i : i + 7]) == list(range(7)) for i in (0, 7, 14))
    assert order[:7] != order[7:14]
    assert order == [view_order(7, step, 3) for step in range(21)]
    assert order != [view_order(7, step, 4) for step in range(21)]


def test_psnr_extent_and_neighbours_in_closed_form():
    assert psnr(torch.zeros(4), torch.full((4,), 0.1)) == pytest.approx(20, abs=1e-4)
    assert psnr(torch.zeros(4), torch.zeros(4)) == pytest.approx(100)
    grid = torch.stack(torch.meshgrid(*[torch.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    torch.testing.assert_close(neighbour_distance(2 * grid), torch.full((27,), 2.0))
    cameras = [look(0.0), look(torch.pi)]  # on opposite sides, 6 apart
    assert scene_extent(cameras, grid) == pytest.approx(3.3, rel=1e-4)
    assert scene_extent(cameras[:1], grid) == pytest.approx(
        float((grid - torch.tensor([0, 0, -3.0])).norm(dim=1).median())
    )
    assert step_seed(0, 1, "a") != step_seed(0, 1, "b") != step_seed(1, 1, "b")
