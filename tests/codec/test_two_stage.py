"""The two autoencoders: their losses against naive twins, the schedule of the second, and hostile files."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import load_codec
from langfield.codec.two_stage import StageOne, StageTwo, TwoStage
from langfield.codec.two_stage_fit import (
    OnlineStage,
    StageOneSettings,
    StageTwoSettings,
    fit_stage_one,
    stage_one_loss,
    stage_two_loss,
)
from langfield.errors import FormatError, SettingsError


def unit(count: int, dim: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=-1)


def scene(count: int, seed: int) -> torch.Tensor:
    """Vectors of 32 numbers that lie near a plane of six directions, as one scene's do."""
    generator = torch.Generator().manual_seed(seed)
    axes = unit(6, 32, 7)
    return normalize(torch.randn(count, 6, generator=generator) @ axes, dim=-1)


def codec(dim: int = 16) -> TwoStage:
    torch.manual_seed(0)
    return TwoStage(StageOne(dim), StageTwo(), dim, {"cosine": 0.5})


def cosine_distance(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return 1 - dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_losses_are_those_of_a_naive_twin():
    a, b = torch.randn(5, 32).double(), torch.randn(5, 32).double()
    rows = list(zip(a.tolist(), b.tolist(), strict=True))
    away = sum(cosine_distance(x, y) for x, y in rows) / 5
    squares = sum(sum((p - q) ** 2 for p, q in zip(x, y, strict=True)) for x, y in rows) / 5
    absolute = sum(abs(p - q) for x, y in rows for p, q in zip(x, y, strict=True)) / (5 * 32)
    assert float(stage_one_loss(a, b, 0.001)) == pytest.approx(squares + 0.001 * away)
    assert float(stage_two_loss(a, b, 0.6)) == pytest.approx(absolute + 0.6 * away)


def test_layers_are_the_papers():
    one, two = StageOne(512), StageTwo()
    widths = [[m.out_features for m in part if hasattr(m, "out_features")] for part in (one.encoder, one.decoder)]
    assert widths == [[256, 128, 64, 32], [192, 256, 384, 512]]
    widths = [[m.out_features for m in part if hasattr(m, "out_features")] for part in (two.encoder, two.decoder)]
    assert widths == [[24, 15], [24, 32]]


def test_codes_are_unit_vectors_and_zero_stays_nothing():
    book = codec()
    codes = book.encode(unit(7, 16, 0))
    assert torch.allclose(codes.norm(dim=-1), torch.ones(7), atol=1e-6)
    decoded = book.decode(torch.cat([codes, torch.zeros(1, 15)]))
    assert torch.allclose(decoded.norm(dim=-1), torch.tensor([1.0] * 7 + [0.0]), atol=1e-6)
    queries = unit(3, 16, 1)
    assert torch.allclose(book.inner(codes[None], queries), (book.decode(codes) @ queries.T)[None], atol=1e-6)


def test_the_file_brings_the_same_codec_back():
    book = codec()
    again = load_codec(book.tensors(), book.about())
    vectors = unit(9, 16, 2)
    assert torch.equal(again.encode(vectors), book.encode(vectors))
    assert torch.equal(again.decode(again.encode(vectors)), book.decode(book.encode(vectors)))
    assert again.about() == book.about()


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("two.encoder.0.weight", torch.zeros(24, 31)),
        ("two.encoder.0.weight", torch.full((24, 32), float("nan"))),
        ("one.decoder.0.bias", torch.zeros(192).double()),
        ("three.encoder", torch.zeros(1)),
        ("two.spread", torch.zeros(1)),
        ("one.mean", torch.zeros(17)),
    ],
)
def test_files_that_do_not_fit_are_refused(name, spoilt):
    book = codec()
    with pytest.raises(FormatError):
        load_codec({**book.tensors(), name: spoilt}, book.about())


@pytest.mark.parametrize("dim", [2**40, 0, -3, True, "512", None])
def test_a_described_width_takes_no_memory_before_it_is_checked(dim):
    book = codec()
    with pytest.raises(FormatError):
        load_codec(book.tensors(), {**book.about(), "dim": dim})


def test_stage_one_learns_what_it_is_shown():
    vectors = normalize(unit(6, 24, 3).repeat(60, 1) + 0.02 * torch.randn(360, 24), dim=-1)
    settings = StageOneSettings(steps=500, batch=32)
    stage = fit_stage_one(vectors, settings)
    kept = torch.cosine_similarity(stage.decode(stage.encode(vectors)), vectors).mean()
    assert float(kept.detach()) > 0.95
    again = fit_stage_one(vectors, settings)
    assert all(torch.equal(a, b) for a, b in zip(stage.parameters(), again.parameters(), strict=True))


class Counted(OnlineStage):
    """Notes how many vectors each step saw, and at which rate."""

    def __init__(self, settings):
        super().__init__(settings)
        self.steps = []

    def _step(self, wanted):
        self.steps.append((len(wanted), self._adam.param_groups[0]["lr"]))
        return super()._step(wanted)


def test_the_second_stage_keeps_the_papers_schedule():
    stage = Counted(StageTwoSettings(first_steps=5, samples=10))
    for number in range(4):
        stage.learn(number, scene(12, number))
    assert stage.steps[:5] == [(10, 1e-3)] * 5
    assert stage.steps[5:] == [(20, 1e-4), (30, 1e-4), (30, 1e-4)]  # itself, and up to two earlier ones
    defaults = StageTwoSettings()
    assert (defaults.first_steps, defaults.first_lr, defaults.steps, defaults.lr) == (200, 1e-3, 1, 1e-4)
    assert (defaults.replay, defaults.cosine_weight) == (2, 0.6)


def test_the_first_keyframe_is_learned_and_nothing_else_decides():
    first, second = OnlineStage(), OnlineStage()
    before = first.frozen()
    for stage in (first, second):
        for number in range(3):
            stage.learn(number, scene(200, number))
    wanted = scene(100, 9)
    found, start = (torch.cosine_similarity(s.decode(s.encode(wanted)), wanted).mean() for s in (first.stage, before))
    assert float(found.detach()) > 0.7 > float(start.detach()) + 0.3
    assert all(torch.equal(a, b) for a, b in zip(first.stage.parameters(), second.stage.parameters(), strict=True))


def test_replay_remembers_what_a_stage_without_it_forgets():
    old, new = unit(200, 32, 1), scene(200, 2)
    losses = []
    for replay in (2, 0):
        stage = OnlineStage(StageTwoSettings(replay=replay, steps=60, lr=1e-3, first_steps=300))
        stage.learn(0, old)
        for number in range(1, 4):
            stage.learn(number, new)
        found = stage.stage.decode(stage.stage.encode(old))
        losses.append(float(stage_two_loss(found, old, 0.6).detach()))
    assert losses[0] < losses[1]


def test_a_stage_goes_on_from_its_state():
    whole, part = OnlineStage(StageTwoSettings(first_steps=20)), OnlineStage(StageTwoSettings(first_steps=20))
    for number in range(2):
        whole.learn(number, scene(30, number))
        part.learn(number, scene(30, number))
    resumed = OnlineStage(StageTwoSettings(first_steps=20))
    resumed.load_state(part.state())
    for stage in (whole, resumed):
        stage.learn(2, scene(30, 2))
    assert all(torch.equal(a, b) for a, b in zip(whole.stage.parameters(), resumed.stage.parameters(), strict=True))


def test_a_forgotten_keyframe_is_not_replayed():
    stage = Counted(StageTwoSettings(first_steps=1, samples=10))
    for number in range(3):
        stage.learn(number, scene(10, number))
    stage.forget(0)
    stage.forget(1)
    stage.learn(3, scene(10, 3))
    assert stage.steps[-1][0] == 20


def test_settings_out_of_range_are_refused():
    with pytest.raises(SettingsError):
        OnlineStage(StageTwoSettings(steps=0))
    with pytest.raises(SettingsError):
        fit_stage_one(unit(4, 8, 0), StageOneSettings(steps=0))
