"""A thousand scenes made to hurt: finite pixels and gradients or an error with a name, the same on any threads."""

import functools
from dataclasses import replace

import pytest
import torch

from langfield.raster import Gaussians, rasterize
from langfield.raster.measure.agreement import Case, Drawn, draw_by, draw_with
from langfield.raster.measure.poison import EDITS, poisoned, poisoned_crowd, survive
from langfield.raster.threads import kernel_threads
from tests.series import cases

KINDS = len(EDITS) + 1


@pytest.mark.parametrize(("backend", "many"), [("cpu", 6 * KINDS), ("reference", 2 * KINDS)])
def test_finite_pixels_and_gradients_or_a_named_error(backend, many, record_property):
    seeds = cases(many, 1000)
    found = survive(draw_with(backend), range(seeds))
    record_property("poison", found)
    assert found["complaints"] == []
    assert found["finite"] + found["named"] == seeds
    assert found["named"] < seeds / 3
    assert found["drawn_on"] > seeds / 3  # most of it is drawn, not turned away


def test_what_does_not_survive_is_complained_about():
    def overflowing(case: Case) -> Drawn:
        drawn = draw_with("cpu")(case)
        drawn.gradients["means"].fill_(torch.inf)
        return drawn

    seed = next(s for s in range(50) if len(poisoned(s).gaussians) > 2 and s % KINDS < 6)
    (said,) = survive(overflowing, [seed])["complaints"]
    assert "gradient of means not finite" in said


def test_every_kind_of_poison_is_in_the_scenes():
    scenes = [poisoned(seed).gaussians for seed in range(20 * KINDS)]
    means = torch.cat([s.means for s in scenes])
    everything = torch.cat([t.flatten() for s in scenes for t in s.tensors()])
    assert everything.isnan().any()
    assert (everything == torch.inf).any()
    assert (everything == -torch.inf).any()
    assert ((everything != 0) & (everything.abs() < 1.17e-38)).any()  # denormal
    assert any((s.quats == 0).all(1).any() for s in scenes)
    assert max(float(s.log_scales.nan_to_num(0, 0).max()) for s in scenes if len(s)) > 40
    assert min(float(s.log_scales.nan_to_num(0, 0, 0).min()) for s in scenes if len(s)) < -60
    assert (means[:, 2] < 0).any()
    assert (means == 0).all(1).any()  # in the camera
    assert any(len(s) == 0 for s in scenes)
    on_border = [
        rasterize(poisoned(seed).gaussians, poisoned(seed).camera).means2d for seed in range(3, 20 * KINDS, KINDS)
    ]
    assert any(((m % 16 == 0) & (m > 0)).all(1).any() for m in on_border)


def test_one_gaussian_too_far_or_too_bright_leaves_the_others_gradients_alone():
    case = next(c for c in map(poisoned, range(2, 500, KINDS)) if len(c.gaussians) == 60)
    means, quats, log_scales, logits, sh = (t.clone() for t in case.gaussians.tensors())
    means[0], means[1] = torch.tensor([0, 0, 3e38]), torch.tensor([0, 0, 2.0])
    log_scales[:2], logits[:2], sh[1, 0] = torch.tensor([[80.0], [0.0]]), 5.0, 3e38
    hurt = replace(case, gaussians=Gaussians(means, quats, log_scales, logits, sh))
    for backend in ("cpu", "reference"):
        drawn = draw_with(backend)(hurt)
        assert all(t.isfinite().all() for t in (*drawn.outputs.values(), *drawn.gradients.values())), backend
        assert drawn.gradients["means"][2:].any()


@pytest.mark.parametrize("seed", [1, 4, 8])
def test_any_number_of_threads_gives_the_same_bits(seed):
    case = poisoned_crowd(seed)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 5):
            torch.set_num_threads(threads)
            assert kernel_threads() == threads
            found.append(draw_by(functools.partial(rasterize, backend="cpu"))(case))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for one, twin in ((found[0].outputs, other.outputs), (found[0].gradients, other.gradients)):
            assert [name for name in one if not one[name].equal(twin[name])] == []
