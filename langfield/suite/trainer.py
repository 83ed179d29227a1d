"""One trainer for all methods that learn: stages, each with what it trains, for how long and how fast.

Only the parameters a stage names move; everything else, the encoder too, is frozen while it runs. The same seed gives
the same result, and a training that was killed goes on from its last checkpoint to the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.errors import FormatError, SettingsError
from langfield.progress import step as told

Objective = Callable[[Int64[Tensor, " B"]], Mapping[str, Tensor]]
"""Rows of the examples to named terms of the loss, weighed already; their sum goes down."""


@dataclass(frozen=True)
class Stage:
    """One stretch of training."""

    steps: int
    lr: float
    trainable: tuple[str, ...] = ("",)
    """Beginnings of names of the learner's parameters that move; "" for all."""
    batch: int = 32
    """Examples a step; all of them where there are no more."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.0
    warmup: int = 0
    """Steps at a tenth of the rate before it falls along a cosine to nothing."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training that may be killed keeps its state."""

    path: Path
    every: int = 50
    """Steps between two of them."""


@dataclass(frozen=True)
class Training:
    """All that `train` needs, before it begins: what a method that trains can be judged by."""

    stages: tuple[Stage, ...]
    learner: nn.Module
    objective: Objective
    examples: int

    def run(self, seed: int = 0, checkpoint: Checkpoint | None = None) -> list[dict[str, float]]:
        """Train; see `train`."""
        return train(self.stages, self.learner, self.objective, self.examples, seed, checkpoint)


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Keep modules without gradients for a while; each parameter's switch is as before afterwards."""
    switches = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    try:
        for parameter, _ in switches:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter, before in switches:
            parameter.requires_grad_(before)


def train(
    stages: Sequence[Stage],
    learner: nn.Module,
    objective: Objective,
    examples: int,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, float]]:
    """Train a learner through all stages.

    Args:
        stages: in order.
        learner: its parameters are what may be trained; what else the objective uses is the caller's to freeze.
        objective: gives the loss of some of the examples.
        examples: how many there are.
        seed: draws the batches.
        checkpoint: where to keep state; finished or killed, the same call goes on from there.

    Returns:
        The terms of every step, in order.

    Raises:
        SettingsError: a stage trains nothing, or there are no examples.
        FormatError: the checkpoint is of another training.
    """
    if examples < 1:
        raise SettingsError("there is nothing to learn from", f"{examples} examples")
    run = _Run(stages, learner, content_key([vars(s) for s in stages], examples, seed), checkpoint)
    state = run.resume()
    with frozen(learner):
        for number in range(run.stage, len(stages)):
            run.stage = number
            run.stretch(state if state is not None else {}, objective, examples, seed)
            state = None
    return run.history


class _Run:
    def __init__(self, stages: Sequence[Stage], learner: nn.Module, key: str, checkpoint: Checkpoint | None) -> None:
        self.stages, self.learner, self.key, self.checkpoint = stages, learner, key, checkpoint
        self.stage, self.step, self.history = 0, 0, list[dict[str, float]]()

    def stretch(self, state: dict[str, Tensor], objective: Objective, examples: int, seed: int) -> None:
        stage = self.stages[self.stage]
        moving = {n: p for n, p in self.learner.named_parameters() if n.startswith(stage.trainable)}
        if not moving:
            raise SettingsError("a stage trains nothing", f"{stage.trainable}, of {type(self.learner).__name__}")
        for parameter in moving.values():
            parameter.requires_grad_(True)
        optimiser = make_optimiser(stage, list(moving.values()))
        restore(optimiser, list(moving), state)
        for step in range(self.step, stage.steps):
            rows = draw(examples, stage.batch, (seed, self.stage, step))
            for group in optimiser.param_groups:
                group["lr"] = stage.lr * rate(stage, step)
            optimiser.zero_grad(set_to_none=True)
            terms = objective(rows)
            torch.stack(list(terms.values())).sum().backward()
            optimiser.step()
            self.history.append({name: float(term.detach()) for name, term in terms.items()})
            self.step = step + 1
            told(sum(s.steps for s in self.stages[: self.stage]) + self.step, sum(s.steps for s in self.stages))
            if self.checkpoint and (self.step % self.checkpoint.every == 0 or self.step == stage.steps):
                self.keep(self.checkpoint.path, optimiser, moving)
        for parameter in moving.values():
            parameter.requires_grad_(False)
            parameter.grad = None
        self.step = 0

    def keep(self, path: Path, optimiser: torch.optim.Optimizer, moving: Mapping[str, nn.Parameter]) -> None:
        tensors = {f"learner/{name}": p.detach() for name, p in self.learner.named_parameters()}
        for name, parameter in moving.items():
            known = optimiser.state.get(parameter, {})
            tensors |= {f"optimiser/{name}/{key}": v for key, v in known.items() if isinstance(v, Tensor)}
        about = {"key": self.key, "stage": self.stage, "step": self.step, "history": self.history}
        write_tensors(path, {name: t.contiguous().clone() for name, t in tensors.items()}, about)

    def resume(self) -> dict[str, Tensor] | None:
        if self.checkpoint is None or not self.checkpoint.path.is_file():
            return None
        tensors, about = read_tensors(self.checkpoint.path)
        named = dict(self.learner.named_parameters())
        saved = {name.removeprefix("learner/"): t for name, t in tensors.items() if name.startswith("learner/")}
        fits = {n: t.shape for n, t in saved.items()} == {n: p.shape for n, p in named.items()}
        place = _place(about)
        if about.get("key") != self.key or not fits or place is None or not 0 <= place[0] < len(self.stages):
            raise FormatError("the checkpoint is of another training", self.checkpoint.path, "remove it")
        with torch.no_grad():
            for name, parameter in named.items():
                parameter.copy_(saved[name])
        self.stage, self.step, self.history = place
        return {name.removeprefix("optimiser/"): t for name, t in tensors.items() if name.startswith("optimiser/")}


def _place(about: Mapping[str, Any]) -> tuple[int, int, list[dict[str, float]]] | None:
    stage, step, history = (about.get(name) for name in ("stage", "step", "history"))
    if isinstance(stage, int) and isinstance(step, int) and isinstance(history, list):
        return stage, step, history
    return None


def make_optimiser(stage: Stage, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Make a stage's optimiser."""
    if stage.optimiser == "sgd":
        return torch.optim.SGD(parameters, stage.lr, momentum=0.9, weight_decay=stage.weight_decay)
    return torch.optim.AdamW(parameters, stage.lr, weight_decay=stage.weight_decay)


def restore(optimiser: torch.optim.Optimizer, names: list[str], state: Mapping[str, Tensor]) -> None:
    """Put back what the optimiser knew of each parameter."""
    parameters: list[Any] = optimiser.param_groups[0]["params"]
    for name, parameter in zip(names, parameters, strict=True):
        known = {key.rpartition("/")[2]: t for key, t in state.items() if key.rpartition("/")[0] == name}
        if known:
            optimiser.state[parameter].update(known)


def draw(examples: int, batch: int, seed: tuple[int, int, int]) -> Int64[Tensor, " B"]:
    """Draw a step's examples, none twice; all of them, in order, where a batch holds them."""
    if examples <= batch:
        return torch.arange(examples)
    generator = torch.Generator().manual_seed(int(content_key(*seed)[:15], 16))
    return torch.randperm(examples, generator=generator)[:batch]


def rate(stage: Stage, step: int) -> float:
    """Give a step's share of the learning rate: a tenth while warming up, then a cosine from one to zero."""
    if step < stage.warmup:
        return 0.1
    return 0.5 * (1 + math.cos(math.pi * (step - stage.warmup) / max(stage.steps - stage.warmup, 1)))


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, keep: float) -> None:
    """Move a slow teacher towards its student: keep * teacher + (1 - keep) * student, buffers copied."""
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.lerp_(fast.detach(), 1 - keep)
    for slow, fast in zip(teacher.buffers(), student.buffers(), strict=True):
        slow.copy_(fast)
