"""Where the autoencoders begin: straight maps through ReLU, and principal components by a measure."""

import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec.two_stage import StageOne, StageTwo, layers
from langfield.codec.two_stage_fit import OnlineStage
from langfield.codec.two_stage_start import Measure, measure_of, start, straight


def drawn(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def centred_cosine(found: torch.Tensor, wanted: torch.Tensor) -> float:
    mean = wanted.mean(dim=0)
    return float(torch.cosine_similarity(found - mean, wanted - mean, dim=1).mean())


def test_layers_carry_a_straight_map_as_far_as_they_were_told():
    net, first, last = layers((6, 9, 8, 4)), drawn(3, 6), drawn(4, 3, seed=1)
    x = drawn(200, 6, seed=2)
    reach = (x @ first.T).abs().amax(dim=0)
    straight(net, first, last, reach)
    assert torch.allclose(net(x), x @ first.T @ last.T, atol=1e-4)
    straight(net, first, last, reach / 4)
    assert not torch.allclose(net(x), x @ first.T @ last.T, atol=1e-2)


def test_a_started_stage_one_is_principal_components():
    x = drawn(500, 60) * torch.linspace(1, 0.01, 60) + 3
    stage = StageOne(60)
    start(stage, x)
    left = x - x.mean(dim=0)
    axes = torch.linalg.svd(left, full_matrices=False).Vh[:32]
    wanted = left @ axes.T @ axes + x.mean(dim=0)
    found = stage.decode(stage.encode(x)).detach()
    assert float((found - wanted).norm(dim=1).median()) < 1e-3  # beyond four deviations it bends


def test_words_decide_what_is_kept():
    """Eighty directions alike in pictures; words differ in the last five alone."""
    x, words = drawn(2000, 80), torch.zeros(50, 80)
    words[:, 75:] = drawn(50, 5, seed=1)
    errors = []
    for measure in (None, measure_of(words, 0.7)):
        stage = StageOne(80)
        start(stage, x, measure)
        errors.append(float((stage.decode(stage.encode(x)).detach() - x)[:, 75:].square().mean()))
    assert errors[1] < 0.05 < errors[0]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_measure_can_be_undone_and_no_share_is_none(share):
    measure = measure_of(drawn(100, 12), share)
    assert torch.allclose(measure.root @ measure.back, torch.eye(12), atol=1e-5)
    if not share:
        assert torch.allclose(measure.root, torch.eye(12), atol=1e-6)


def test_a_started_stage_two_keeps_more_than_the_mean():
    """A scene's vectors share most of their length; from random weights 200 steps reached little else."""
    x = 5 * normalize(drawn(32), dim=0) + drawn(800, 10) @ drawn(10, 32, seed=1) / 10
    stage = OnlineStage()
    stage.learn(0, x)
    found = stage.frozen()
    assert centred_cosine(found.decode(found.encode(x)), x) > 0.95


@pytest.mark.parametrize("vectors", [torch.ones(5, 32), torch.ones(1, 32), torch.zeros(3, 32)])
def test_vectors_without_differences_give_finite_weights(vectors):
    stage = StageTwo()
    start(stage, vectors)
    assert all(bool(t.isfinite().all()) for t in stage.state_dict().values())
    assert torch.allclose(stage.decode(stage.encode(vectors)), vectors, atol=1e-3)


def test_the_measure_is_what_distance_is_small_in():
    measure = Measure(torch.diag(torch.tensor([3.0, 1.0])), torch.diag(torch.tensor([1 / 3, 1.0])))
    stage = StageOne(2)
    start(stage, drawn(50, 2), measure)
    x = drawn(20, 2, seed=3) * 0.5
    assert torch.allclose(stage.decode(stage.encode(x)), x, atol=1e-3)
