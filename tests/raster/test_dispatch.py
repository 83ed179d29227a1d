# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
"""What rasterize accepts, what it refuses and how it says so."""

from dataclasses import dataclass, field, replace

import pytest
import torch

from langfield.capture.types import Distortion
from langfield.errors import EnvironmentProblem, FormatError, LangfieldError, SettingsError
from langfield.raster import Gaussians, RasterOptions, build, cuda_launch, dispatch, rasterize
from tests.raster.scenes import camera, channels, gaussians


def changed(**tensors: torch.Tensor) -> Gaussians:
    return replace(gaussians(4, 0), **tensors)


@pytest.mark.parametrize(
    ("scene", "name"),
    [
        (changed(quats=torch.ones(4, 3)), "quats"),
        (changed(sh=torch.ones(4, 5, 3)), "sh"),
        (changed(logit_opacities=torch.ones(4, 1)), "logit_opacities"),
        (changed(log_scales=torch.ones(3, 3)), "log_scales"),
        (changed(means=torch.ones(4)), "means"),
        (changed(quats=torch.ones(4, 4, dtype=torch.float64)), "quats"),
        (changed(means=torch.ones(4, 3, dtype=torch.int64)), "means"),
    ],
)
def test_wrong_shapes_are_named(scene, name):
    with pytest.raises(FormatError, match=name):
        rasterize(scene, camera())


def test_wrong_channels_are_named():
    huge = torch.full((4, 2), 3e38)  # finite, but gradients by anything drawn with them are not
    lost, endless = (torch.zeros(4, 2).index_fill_(0, torch.tensor(1), v) for v in (torch.nan, -torch.inf))
    for bad in (torch.ones(3, 2), torch.ones(4), lost, endless, huge):
        with pytest.raises(FormatError, match="channels"):
            rasterize(gaussians(4, 0), camera(), bad)
    assert rasterize(gaussians(4, 0), camera(), torch.full((4, 2), 1e10)).channels.isfinite().all()


def test_cameras_that_cannot_be_drawn_are_refused():
    cam = camera()
    bent = replace(cam, distortion=Distortion("opencv", (0.1,)))
    skewed = replace(cam, K=cam.K + torch.tensor([[0, 1.0, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.float64))
    lost = replace(cam, T_world_camera=torch.full((4, 4), torch.nan, dtype=torch.float64))
    flat = replace(cam, T_world_camera=torch.zeros(4, 4, dtype=torch.float64))
    for bad in (bent, skewed, lost, flat, replace(cam, width=0), replace(cam, width=10**6), replace(cam, K=-cam.K)):
        with pytest.raises(LangfieldError):
            rasterize(gaussians(4, 0), bad)
    with pytest.raises(SettingsError, match="distortion"):
        rasterize(gaussians(4, 0), bent)


def test_options_out_of_range_are_refused():
    for bad in (RasterOptions(near=0), RasterOptions(blur_px2=-1), RasterOptions(sh_degree=4)):
        with pytest.raises(SettingsError):
            rasterize(gaussians(4, 0), camera(), options=bad)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_cuda_backend_without_a_gpu_says_what_is_missing():
    with pytest.raises(EnvironmentProblem, match="GPU"):
        rasterize(gaussians(4, 0), camera(), backend="cuda")


def test_tensors_are_not_moved_between_devices(monkeypatch):
    monkeypatch.setattr(cuda_launch, "require_driver", lambda: None)
    with pytest.raises(SettingsError, match=r"means torch.float32 on cpu.*move all of them to 'cuda'"):
        rasterize(gaussians(4, 0), camera(), backend="cuda")
    with pytest.raises(EnvironmentProblem, match="meta"):
        rasterize(Gaussians(*(t.to("meta") for t in gaussians(4, 0).tensors())), camera())


@dataclass
class OnGpu:
    """What choosing a backend looks at, of a tensor on a GPU."""

    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cuda", 1))


def test_tensors_on_a_gpu_are_drawn_there_in_single_precision(monkeypatch):
    asked = []
    monkeypatch.setattr(cuda_launch, "launcher", asked.append)
    scene = gaussians(4, 0)
    for backend in (None, "cuda"):
        assert dispatch.resolve(replace(scene, means=OnGpu()), backend) == "cuda"
    assert asked == [1, 1]
    for backend in ("cpu", "reference"):
        with pytest.raises(SettingsError, match="move them to the CPU"):
            dispatch.resolve(replace(scene, means=OnGpu()), backend)
    with pytest.raises(SettingsError, match="float32"):
        dispatch.resolve(replace(scene, means=OnGpu(torch.float64)))


def test_double_goes_to_the_reference_and_never_to_the_kernels():
    scene = gaussians(4, 0, torch.float64)
    assert dispatch.resolve(scene) == "reference"
    assert rasterize(scene, camera()).alpha.dtype == torch.float64
    with pytest.raises(SettingsError, match="float32"):
        rasterize(scene, camera(), backend="cpu")


def test_without_a_compiler_the_reference_draws_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(build, "COMPILERS", ("no-such-compiler",))
    build._library.cache_clear()
    dispatch.compiled_available.cache_clear()
    try:
        scene, cam = gaussians(8, 0), camera()
        first = rasterize(scene, cam, channels(8, 2, 0))
        rasterize(scene, cam)
        assert capsys.readouterr().err.count("plain torch") == 1
        with pytest.raises(EnvironmentProblem, match="apt-get install"):
            rasterize(scene, cam, backend="cpu")
    finally:
        monkeypatch.undo()
        build._library.cache_clear()
        dispatch.compiled_available.cache_clear()
    torch.testing.assert_close(first.colour, rasterize(scene, cam, backend="cpu").colour, atol=1e-4, rtol=1e-4)
