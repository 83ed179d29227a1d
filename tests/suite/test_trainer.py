"""The trainer moves what it should, the same way each time, killed or not."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from langfield.artefacts import read_tensors, write_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.trainer import Checkpoint, Stage, draw, follow, frozen, make_optimiser, rate, train
from langfield.threads import one_thread

STAGES = (
    Stage(steps=12, lr=0.05, trainable=("0.",), batch=8, warmup=3),
    Stage(steps=9, lr=0.1, trainable=("0.", "2."), batch=8, optimiser="sgd", weight_decay=0.01),
)


def learner(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 1))


def objective(model: nn.Module):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(40, 4, generator=generator)
    wanted = inputs[:, :1] * inputs[:, 1:2]

    def loss(rows: Tensor) -> dict[str, Tensor]:
        found = model(inputs[rows])
        return {"fit": (found - wanted[rows]).square().mean(), "size": 1e-3 * found.square().mean()}

    return loss


def state(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_the_loss_falls_and_only_named_parameters_move():
    model = learner()
    before, start = state(model), float(objective(model)(torch.arange(40))["fit"].detach())
    with one_thread():
        history = train(STAGES[:1], model, objective(model), 40)
    after = state(model)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [False, False, True, True]
    assert len(history) == 12
    assert set(history[0]) == {"fit", "size"}
    assert float(objective(model)(torch.arange(40))["fit"].detach()) < 0.95 * start
    assert all(p.grad is None for p in model.parameters())


def test_switches_of_gradients_come_back():
    model = learner()
    model[2].bias.requires_grad_(False)
    train(STAGES, model, objective(model), 40)
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, False]
    with frozen(model):
        assert not any(p.requires_grad for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()] == [True, True, True, False]


def test_the_same_seed_gives_the_same_and_another_another():
    ends = []
    for seed in (0, 0, 1):
        model = learner()
        with one_thread():
            train(STAGES, model, objective(model), 40, seed)
        ends.append(torch.cat([p.flatten() for p in state(model)]))
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("killed_at", [3, 7, 12, 15, 21])
def test_killed_and_called_again_it_ends_in_the_same_bits(tmp_path: Path, killed_at: int):
    whole, first, second = learner(), learner(), learner(5)
    kept = Checkpoint(tmp_path / "state.safetensors", every=5)
    calls = 0

    def dies(rows: Tensor) -> dict[str, Tensor]:
        nonlocal calls
        calls += 1
        if calls > killed_at:
            raise KeyboardInterrupt
        return objective(first)(rows)

    with one_thread():
        history = train(STAGES, whole, objective(whole), 40)
        if killed_at < 21:
            with pytest.raises(KeyboardInterrupt):
                train(STAGES, first, dies, 40, checkpoint=kept)
        else:
            train(STAGES, first, dies, 40, checkpoint=kept)
        if not kept.path.is_file():
            second = learner()  # nothing was kept yet: it begins anew
        again = train(STAGES, second, objective(second), 40, checkpoint=kept)
    assert all(torch.equal(a, b) for a, b in zip(state(whole), state(second), strict=True))
    assert again == history


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path):
    model, kept = learner(), Checkpoint(tmp_path / "state.safetensors", every=5)
    train(STAGES, model, objective(model), 40, checkpoint=kept)
    with pytest.raises(FormatError, match="another training"):
        train(STAGES, model, objective(model), 39, checkpoint=kept)
    tensors, about = read_tensors(kept.path)
    for damage in ({"stage": "0"}, {"stage": 7}, {"step": None}, {"history": 3}):
        write_tensors(kept.path, tensors, about | damage)
        with pytest.raises(FormatError, match="another training"):
            train(STAGES, model, objective(model), 40, checkpoint=kept)
    write_tensors(kept.path, tensors | {"learner/0.weight": torch.zeros(2)}, about)
    with pytest.raises(FormatError, match="another training"):
        train(STAGES, model, objective(model), 40, checkpoint=kept)


def test_what_cannot_be_trained():
    model = learner()
    with pytest.raises(SettingsError, match="trains nothing"):
        train([Stage(1, 0.1, ("xyz",))], model, objective(model), 40)
    with pytest.raises(SettingsError, match="nothing to learn from"):
        train(STAGES, model, objective(model), 0)


def test_one_step_is_the_optimisers_own():
    """Against torch's optimiser driven by hand."""
    for stage in (Stage(1, 0.05, batch=40), Stage(1, 0.05, batch=40, optimiser="sgd", weight_decay=0.1)):
        model, twin = learner(), learner()
        train([stage], model, objective(model), 40)
        optimiser = make_optimiser(stage, list(twin.parameters()))
        torch.stack(list(objective(twin)(torch.arange(40)).values())).sum().backward()
        optimiser.step()
        assert all(torch.equal(a, b) for a, b in zip(state(model), state(twin), strict=True))


def test_batches_and_rates():
    assert torch.equal(draw(5, 8, (0, 0, 0)), torch.arange(5))
    rows = draw(40, 8, (0, 0, 3))
    assert len(set(rows.tolist())) == 8
    assert torch.equal(rows, draw(40, 8, (0, 0, 3)))
    assert not torch.equal(rows, draw(40, 8, (0, 0, 4)))
    stage = Stage(steps=10, lr=1.0, warmup=2)
    assert [rate(stage, s) for s in (0, 1, 2)] == [0.1, 0.1, 1.0]
    assert rate(stage, 6) == pytest.approx(0.5)
    assert all(rate(stage, s) > rate(stage, s + 1) for s in range(2, 9))


def test_a_slow_teacher_follows():
    student, teacher = learner(1), learner()
    start = copy.deepcopy(teacher)
    for _ in range(3):
        follow(teacher, student, 0.9)
    for slow, old, fast in zip(teacher.parameters(), start.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(slow, 0.9**3 * old + (1 - 0.9**3) * fast)
