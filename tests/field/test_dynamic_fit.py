"""The fit of a scene that moves: better than one that stands still, on times it has not seen; resumed bit for bit."""

from dataclasses import replace

import pytest
import torch

from langfield.errors import FormatError, SettingsError
from langfield.field.deform import deform
from langfield.field.dynamic_fit import MotionFit, MotionSettings, span_of
from langfield.field.hexplane import PlaneSettings
from langfield.field.motion import STILL
from langfield.field.photometric import PhotometricFit, PhotometricSettings, psnr, view_order
from langfield.raster import rasterize
from tests.moving import camera_at, picture, points, times

MOTION = MotionSettings(
    planes=PlaneSettings(grid=(8, 8, 8), times=12, width=8),
    hidden=32,
    static_share=0.2,
    heads=("means", "quats", "log_scales", "sh"),
)
COLOUR = PhotometricSettings(steps=400, max_gaussians=300, sh_degree=0, half_size_until=0.0)
TIMES = times(24)
TRAINED = [t for i, t in enumerate(TIMES) if i % 4 != 2]
HELD_OUT = [t for i, t in enumerate(TIMES) if i % 4 == 2]


@pytest.fixture(scope="module")
def views():
    return [(camera_at(t), picture(t)) for t in TRAINED]


def start(views, settings=COLOUR, motion=MOTION) -> tuple[PhotometricFit, MotionFit]:
    cameras = [camera for camera, _ in views]
    moving = MotionFit(points().xyz, cameras, 1, settings.steps, motion)
    return PhotometricFit(points(), cameras, settings, motion=moving), moving


def run(fit: PhotometricFit, views, first: int, last: int) -> list[dict[str, float]]:
    return [fit.step(step, *views[view_order(len(views), step, 0)]) for step in range(first, last)]


def quality(fit: PhotometricFit, moving: MotionFit | None, at: list[float]) -> float:
    found = []
    for t in at:
        colour = rasterize(deform(fit.gaussians, moving and moving.deformation, t), camera_at(t)).colour
        assert colour is not None
        found.append(psnr(colour.clamp(0, 1), picture(t)))
    return sum(found) / len(found)


def test_a_scene_that_moves_is_drawn_at_times_it_was_not_seen(views):
    fit, moving = start(views)
    run(fit, views, 0, COLOUR.steps)
    still = PhotometricFit(points(), [c for c, _ in views], COLOUR)
    run(still, views, 0, COLOUR.steps)
    seen, unseen, flat = quality(fit, moving, TRAINED), quality(fit, moving, HELD_OUT), quality(still, None, HELD_OUT)
    assert seen > 32, seen
    assert unseen > 28, unseen
    assert unseen > flat + 8, (unseen, flat)


def test_until_it_moves_it_is_the_fit_of_a_scene_that_stands_still(views):
    fit, _ = start(views)
    still = PhotometricFit(points(), [c for c, _ in views], COLOUR)
    assert still.motion is STILL
    assert run(fit, views, 0, 80) == run(still, views, 0, 80)
    assert run(fit, views, 80, 84) != run(still, views, 80, 84)


def test_stopped_and_continued_equals_undisturbed_bit_for_bit(views):
    short = replace(COLOUR, steps=60, densify_every=10)
    (whole, one), (half, _), (rest, other) = (start(views, short) for _ in range(3))
    undisturbed = run(whole, views, 0, 40)
    run(half, views, 0, 25)
    rest.load_state(half.state())
    assert run(rest, views, 25, 40) == undisturbed[25:]
    assert all(torch.as_tensor(t).equal(torch.as_tensor(rest.state()[k])) for k, t in whole.state().items())
    assert one.deformation.planes.cells.equal(other.deformation.planes.cells)
    with pytest.raises(FormatError, match="trunk_weight"):
        rest.load_state({k: v for k, v in half.state().items() if k != "motion.trunk_weight"})


def test_what_does_not_fit_is_refused(views):
    cameras = [c for c, _ in views]
    bad = (
        {"heads": ()}, {"heads": ("sh", "means")}, {"heads": ("colour",)}, {"hidden": 0}, {"static_share": 1.0},
        {"still": -1.0},
    )  # fmt: skip
    for change in bad:
        with pytest.raises(SettingsError):
            MotionFit(points().xyz, cameras, 1, 10, replace(MOTION, **change))
    with pytest.raises(SettingsError, match="two times"):
        span_of(cameras[:1])
    untimed = replace(cameras[0], time_s=None)
    with pytest.raises(SettingsError, match="1 of 19 pictures have no time"):
        span_of([*cameras, untimed])
    fit, _ = start(views)
    with pytest.raises(FormatError, match="no time"):
        fit.step(0, untimed, views[0][1])
