"""A run's training on a scene that moves: the same code as for one that stands still, at each picture's time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.artefacts import content_key, write_arrays
from langfield.cache import Cache
from langfield.caption_stage import Spoken
from langfield.capture.points import no_points
from langfield.capture.types import Capture, Frame
from langfield.codec.identity import Identity
from langfield.errors import SettingsError
from langfield.field.at_time import at_time, status_codes
from langfield.field.deform import deform
from langfield.field.dynamic_fit import MotionSettings
from langfield.field.hexplane import PlaneSettings
from langfield.field.language import LanguageSettings
from langfield.field.lift_solve import LiftView, sum_views
from langfield.field.parts import take_apart
from langfield.field.photometric import PhotometricSettings
from langfield.field.store import load_field, save_field
from langfield.fit import (
    FieldFit,
    LanguageView,
    TrainingView,
    Watched,
    geometry_path,
    load_state,
    mean_psnr,
    save_state,
)
from langfield.settings import RunSettings
from langfield.suite.captions.store import Captions
from langfield.tracks import Tracks
from tests.moving import EACH, FIRST_S, LAST_S, TURNS_S, camera_at, picture, points, times, truth

MOTION = MotionSettings(planes=PlaneSettings(grid=(8, 8, 8), times=12, width=8), hidden=32)
MOVING = RunSettings(
    motion=MOTION, photometric=PhotometricSettings(steps=60, max_gaussians=300, sh_degree=0, densify_every=10)
)
STILL = replace(MOVING, motion=None)
TRAINED = times(12)


def view(time_s: float) -> TrainingView:
    pixels = (picture(time_s) * 255).round().to(torch.uint8).numpy()
    return TrainingView(f"{time_s:.3f}", camera_at(time_s), pixels)


@pytest.fixture(scope="module")
def views() -> list[TrainingView]:
    return [view(t) for t in TRAINED]


def ids_at(time_s: float) -> torch.Tensor:
    """One level of id maps: 0 the red ball, 1 the blue one, exactly."""
    from langfield.raster import rasterize

    scene = truth(time_s)
    rows = (torch.arange(len(scene)) >= EACH).long()
    drawn = rasterize(scene, camera_at(time_s), torch.nn.functional.one_hot(rows, 2).float())
    assert drawn.channels is not None
    best = drawn.channels.argmax(-1)
    return torch.where(drawn.channels.amax(-1) > 0.5, best, -1).to(torch.int16)[None].repeat(3, 1, 1)


def lift_views() -> list[LiftView]:
    return [LiftView(camera_at(t), ids_at(t), torch.eye(2)) for t in TRAINED]


def run(fit: FieldFit, first: int, last: int) -> list[dict[str, float]]:
    return [fit.step(step) for step in range(first, last)]


def test_stopped_and_continued_equals_undisturbed_bit_for_bit(views: list[TrainingView], tmp_path):
    whole, half, rest = (FieldFit(views, points(), MOVING) for _ in range(3))
    for fit in (whole, half, rest):
        fit.teach_lift(lift_views(), Identity(2))
    undisturbed = run(whole, 0, 61)
    run(half, 0, 37)
    save_state(tmp_path / "half.pt", half.state())
    rest.load_state(load_state(tmp_path / "half.pt"))
    assert run(rest, 37, 61) == undisturbed[37:]
    one, two = whole.field(Identity(2), {}), rest.field(Identity(2), {})
    assert one.deformation is not None
    assert two.deformation is not None
    assert one.codes is not None
    assert two.codes is not None
    assert torch.equal(one.codes, two.codes)
    named = one.deformation.tensors().items()
    assert all(torch.equal(t, two.deformation.tensors()[name]) for name, t in named)
    assert all(torch.equal(a, b) for a, b in zip(one.gaussians.tensors(), two.gaussians.tensors(), strict=True))


def test_a_finished_field_keeps_its_motion_on_disk(views: list[TrainingView], tmp_path):
    fit = FieldFit(views, points(), MOVING)
    run(fit, 0, 30)
    save_field(tmp_path, fit.field(None, {}))
    field = load_field(tmp_path)
    assert field.deformation is not None
    for t in (TRAINED[0], TRAINED[5]):
        now = deform(fit.gaussians, fit.deformation, t)
        assert torch.allclose(at_time(field, t).gaussians.means, now.means, atol=1e-6)
    assert not torch.equal(at_time(field, TRAINED[0]).gaussians.means, at_time(field, TRAINED[5]).gaussians.means)


def test_quality_is_judged_at_each_pictures_time(views: list[TrainingView]):
    fit = FieldFit(views, points(), MOVING)
    run(fit, 0, 60)
    moved = mean_psnr(fit.gaussians, views, fit.deformation)
    canonical = mean_psnr(fit.gaussians, views)
    alone = [mean_psnr(deform(fit.gaussians, fit.deformation, v.camera.time_s), [v]) for v in views]
    assert moved is not None
    assert moved == pytest.approx(np.mean([a for a in alone if a is not None]))
    assert moved != canonical


def test_every_view_is_lifted_from_the_gaussians_of_its_time(views: list[TrainingView]):
    fit, looks = FieldFit(views, points(), MOVING), lift_views()
    run(fit, 0, 20)
    then = [deform(fit.gaussians, fit.deformation, v.camera.time_s) for v in looks]
    alone = [sum_views(moved, [v], MOVING.lift) for moved, v in zip(then, looks, strict=True)]
    together = sum_views(fit.gaussians, looks, MOVING.lift, fit.deformation)
    assert int(together.steps.sum()) == sum(int(s.steps.sum()) for s in alone)
    assert int(together.steps.sum()) != int(sum_views(fit.gaussians, looks, MOVING.lift).steps.sum())


def test_codes_are_fitted_on_the_gaussians_of_each_time(views: list[TrainingView]):
    settings = replace(MOVING, language=LanguageSettings(mode="fit", steps=8, gather_steps=4), compress="pca")
    fit = FieldFit(views, points(), settings)
    fit.teach([LanguageView(ids_at(t), torch.eye(2)) for t in TRAINED])
    run(fit, 0, settings.total_steps)
    assert fit.language is not None
    assert fit.language.deformation is not None
    drawn = fit.language.step(7, views[3].camera, *_targets(TRAINED[3]))
    fit.language.deformation = None
    assert fit.language.step(7, views[3].camera, *_targets(TRAINED[3])) != drawn


def _targets(time_s: float):
    from langfield.field.language import latent_targets

    return latent_targets(ids_at(time_s), torch.eye(2))


def watched(folder: Path) -> Watched:
    """Both balls as a tracker would give them, and what is said of the blue one."""
    maps = [folder / f"{i}.npz" for i in range(len(TRAINED))]
    for path, t in zip(maps, TRAINED, strict=True):
        write_arrays(path, {"ids": (ids_at(t)[0] + 1).numpy()})
    many, names = torch.full((2,), len(TRAINED)).int(), tuple(f"{t:.3f}" for t in TRAINED)
    members = torch.tensor([[thing, i, thing] for thing in range(2) for i in range(len(TRAINED))]).int()
    number = torch.tensor([0, 1, 2]).short()
    tracks = Tracks(
        names, tuple(TRAINED), tuple(maps), torch.eye(2), many, torch.ones(2), members, number, "key", {}
    )  # fmt: skip
    vectors = torch.zeros(2, len(TRAINED), 3)
    vectors[1, :, 0] = torch.tensor([float(t < TURNS_S) for t in TRAINED])
    vectors[1, :, 1] = 1 - vectors[1, :, 0]
    spoken = Spoken(
        Captions((), {}), torch.tensor(TRAINED).double(), vectors, vectors.any(-1), torch.zeros(2, 3), Identity(3)
    )  # fmt: skip
    return Watched(tracks, [camera_at(t) for t in TRAINED], spoken)


def test_things_that_were_followed_are_the_fields_and_have_its_states(views: list[TrainingView], tmp_path: Path):
    fit, later = FieldFit(views, points(), MOVING), FieldFit(views, points(), MOVING)
    for one in (fit, later):
        one.teach_lift(lift_views(), Identity(2))
        one.watch(watched(tmp_path))
    run(fit, 0, 61)
    assert fit.instances is None
    fit.name_things()
    field = fit.field(Identity(2), {})
    assert field.instances is not None
    assert field.status_tracks is not None
    things = [set(field.instances.gaussians(i).tolist()) for i in range(2)]
    assert [set(torch.nonzero(field.status_tracks.owner == i)[:, 0].tolist()) for i in range(2)] == things
    red = field.gaussians.sh[:, 0, 0] > field.gaussians.sh[:, 0, 2]
    assert red[sorted(things[0])].float().mean() > 0.9
    assert red[sorted(things[1])].float().mean() < 0.1
    before, after = (status_codes(field, t)[sorted(things[1])[0]] for t in (FIRST_S, LAST_S))
    assert before.argmax() == 0
    assert after.argmax() == 1
    save_state(tmp_path / "state.pt", fit.state())
    later.load_state(load_state(tmp_path / "state.pt"))
    mine, theirs = take_apart(later.field(Identity(2), {}))[0], take_apart(field)[0]
    assert mine.keys() == theirs.keys() >= {"status_tracks.shares", "instances.rows"}
    assert all(torch.equal(mine[name], t) for name, t in theirs.items())


def test_a_scene_that_stands_still_is_trained_and_named_as_ever(views: list[TrainingView], tmp_path):
    """Settings without motion, and pictures' times, leave no trace in keys; with motion both do."""
    frames = [Frame(v.name, tmp_path / "a.png", v.camera) for v in views]
    (tmp_path / "a.png").write_bytes(b"picture")
    untimed = [replace(f, camera=replace(f.camera, time_s=None)) for f in frames]
    capture, cache = Capture(tmp_path, tuple(frames), points()), Cache(tmp_path, ())
    assert not {"motion", "tracks", "captions", "status"} & STILL.result_settings().keys()
    assert STILL.key() == content_key(STILL.result_settings())
    assert geometry_path(frames, capture, STILL, cache) == geometry_path(untimed, capture, STILL, cache)
    assert geometry_path(frames, capture, MOVING, cache) != geometry_path(frames, capture, STILL, cache)
    assert geometry_path(frames, capture, MOVING, cache) != geometry_path(untimed, capture, MOVING, cache)
    assert MOVING.key() != replace(MOVING, motion=replace(MOTION, hidden=16)).key() != STILL.key()
    timed, bare = FieldFit(views, points(), STILL), FieldFit(_untimed(views), points(), STILL)
    assert run(timed, 0, 12) == run(bare, 0, 12)
    assert timed.field(None, {}).deformation is None


def test_layouts_without_start_points_move_too(views: list[TrainingView]):
    """D-NeRF's layout has none: planes then hold the random ones that the fit starts from."""
    fit = FieldFit(views, no_points(), MOVING)
    run(fit, 0, 12)
    assert fit.deformation is not None
    low, high = fit.deformation.planes.box
    inside = ((fit.gaussians.means > low) & (fit.gaussians.means < high)).all(1)
    assert inside.float().mean() > 0.9


def test_pictures_without_times_cannot_move(views: list[TrainingView]):
    with pytest.raises(SettingsError, match="12 of 12 pictures have no time"):
        FieldFit(_untimed(views), points(), MOVING)


def _untimed(views: list[TrainingView]) -> list[TrainingView]:
    return [replace(v, camera=replace(v.camera, time_s=None)) for v in views]
