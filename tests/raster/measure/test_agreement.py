"""Backends agree pairwise on seeded scenes, and the comparison notices when they do not."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from langfield.raster import build
from langfield.raster.measure.agreement import (
    CHANNEL_COUNTS,
    Case,
    Draw,
    Drawn,
    agree,
    agree_all,
    cases,
    draw_by,
    draw_with,
    near_jump,
)
from langfield.raster.reference import ALPHA_CUT
from tests import series
from tests.raster.emulated.draw import drawer, emulated
from tests.raster.scenes import camera

reference, cpu = draw_with("reference"), draw_with("cpu")


def test_reference_and_cpu_agree():
    (report,) = agree_all({"reference": reference, "cpu": cpu}, cases(range(100, 103))).values()
    assert report["cases"] == 3 * len(CHANNEL_COUNTS)
    assert report["complaints"] == []


@pytest.mark.skipif(build.compiler() is None, reason="the emulation of CUDA needs a C++ compiler")
def test_reference_cpu_and_emulated_cuda_agree(record_property):
    draws = {"reference": reference, "cpu": cpu, "cuda emulated": draw_by(drawer(emulated()))}
    seeds = series.cases(1, 50)
    found = agree_all(draws, cases(range(seeds)))
    record_property("agreement", found)
    for pair, report in found.items():
        assert report["cases"] == seeds * len(CHANNEL_COUNTS)
        assert report["complaints"] == [], pair


def test_cases_are_seeded_and_look_at_what_is_hard():
    for a, b in zip(cases([3]), cases([3]), strict=True):
        assert a.gaussians.means.equal(b.gaussians.means)
        assert a.weights["channels"].equal(b.weights["channels"])
    some = list(cases(range(10), (1,)))
    assert any(case.camera.width % 16 and case.camera.height % 16 for case in some)
    drawn = [cpu(case) for case in some]
    assert sum(int((d.outputs["alpha"] > 0.999).sum()) for d in drawn) > 1000  # pixels that close
    assert sum(int(case.near_jump.sum()) for case in some) < 100
    assert all(d.gradients["means2d"].any(1).float().mean() > 0.3 for d in drawn)  # most Gaussians are seen


def spoiled(draw: Draw, spoil: Callable[[Case, Drawn], None]) -> Draw:
    def wrong(case: Case) -> Drawn:
        drawn = draw(case)
        copy = Drawn(*({k: v.clone() for k, v in part.items()} for part in (drawn.outputs, drawn.gradients)))
        spoil(case, copy)
        return copy

    return wrong


def brighten(case: Case, drawn: Drawn) -> None:
    drawn.outputs["colour"][5, 5, 1] += 3e-4


def forget(case: Case, drawn: Drawn) -> None:
    row = drawn.gradients["log_scales"].norm(dim=1).median(0).indices
    drawn.gradients["log_scales"][row] = 0


def turn(case: Case, drawn: Drawn) -> None:
    drawn.gradients["quats"] += 0.02 * drawn.gradients["quats"].norm(dim=1, keepdim=True) * torch.tensor([1.0, 0, 0, 0])


def stretch(case: Case, drawn: Drawn) -> None:
    drawn.gradients["sh"] *= 1.002


def lose(case: Case, drawn: Drawn) -> None:
    drawn.gradients["means"][0, 0] = torch.nan


def vanish(case: Case, drawn: Drawn) -> None:
    drawn.outputs["depth"][3, 4] = torch.nan


def near(case: Case, drawn: Drawn) -> None:
    case.near_jump[:8] = True
    drawn.outputs["alpha"][:8] += 0.01


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (brighten, "interior pixels differ"),
        (vanish, "interior pixels differ"),
        (forget, "rows of gradients lost"),
        (turn, "cosine"),
        (stretch, "relative L2"),
        (lose, "cosine"),
        (near, "not balanced"),
        (near, "pixels flipped"),
    ],
)
def test_what_is_wrong_is_complained_about(spoil, complaint):
    found = agree(cpu, spoiled(cpu, spoil), cases([1], (3,)))
    assert any(complaint in said for said in found["complaints"]), found["complaints"]


def test_the_same_backend_twice_agrees_exactly():
    found = agree(cpu, cpu, cases([2], (1,)))
    assert (found["complaints"], found["highest_l2"], found["interior_off"]) == ([], 0.0, 0)


def test_pixels_near_a_jump_are_known():
    (case,) = cases([1], (1,))
    scene = case.gaussians
    bell = torch.tensor([0.0, 0.0, 2.0])
    one = replace(
        scene,
        means=bell[None], quats=torch.tensor([[1.0, 0, 0, 0]]), log_scales=torch.full((1, 3), -2.0),
        logit_opacities=torch.zeros(1), sh=scene.sh[:1],
    )  # fmt: skip

    cam = camera(33, 33, 0.0)
    assert not near_jump(one, cam).any()
    drawn = cpu(replace(case, gaussians=one, camera=cam, channels=torch.ones(1, 1), weights={
        "alpha": torch.ones(33, 33), "depth": torch.ones(33, 33), "colour": torch.ones(33, 33, 3),
        "channels": torch.ones(33, 33, 1)}))  # fmt: skip
    alpha = drawn.outputs["alpha"]
    faint = alpha[alpha > 0].min()  # make the faintest pixel lie on the cut
    opacity = 0.5 * ALPHA_CUT / faint
    assert near_jump(replace(one, logit_opacities=torch.logit(opacity)[None]), cam).any()
