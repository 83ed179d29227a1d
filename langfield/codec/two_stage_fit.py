"""How the two autoencoders learn: stage one once, stage two with every keyframe, replaying earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, l1_loss, mse_loss

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec.training import check_vectors
from langfield.codec.two_stage import StageOne, StageTwo, load_stage
from langfield.codec.two_stage_start import measure_of, start
from langfield.errors import FormatError, SettingsError
from langfield.progress import track
from langfield.threads import one_thread

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class StageOneSettings:
    """How stage one is fitted; the paper's 150 passes are over COCO, ours begin near the end."""

    steps: int = 2500
    batch: int = 512
    lr: float = 1e-3
    """Adam's first learning rate; it falls to zero along a cosine."""
    cosine_weight: float = 1e-3
    """Weight of the cosine distance beside the squared one."""
    words: float = 0.7
    """How much of both counts by how words differ (`two_stage_start.measure_of`), where words are given."""
    seed: int = 0


@dataclass(frozen=True)
class StageTwoSettings:
    """How stage two follows a scene (arXiv 2503.09447, Section 3.3, and the published code)."""

    first_steps: int = 200
    """Steps on the first keyframe."""
    first_lr: float = 1e-3
    steps: int = 1
    """Steps per later keyframe, each on it and the replayed ones."""
    lr: float = 1e-4
    replay: int = 2
    """Past keyframes drawn at random for every step."""
    cosine_weight: float = 0.6
    """Weight of the cosine distance beside L1."""
    samples: int = 2048
    """Vectors of a keyframe that are kept to learn from, at most."""
    seed: int = 0


def stage_one_loss(found: Tensor, wanted: Tensor, cosine_weight: float) -> Float[Tensor, ""]:
    """Give L2 plus the weighted cosine distance, means over vectors; both [M, D]."""
    return mse_loss(found, wanted, reduction="none").sum(-1).mean() + cosine_weight * _distance(found, wanted)


def stage_two_loss(found: Tensor, wanted: Tensor, cosine_weight: float) -> Float[Tensor, ""]:
    """Give L1 plus the weighted cosine distance, means over numbers and vectors; both [M, 32]."""
    return l1_loss(found, wanted) + cosine_weight * _distance(found, wanted)


def _distance(found: Tensor, wanted: Tensor) -> Tensor:
    return 1 - cosine_similarity(found, wanted, dim=-1).mean()


@one_thread()
def fit_stage_one(
    vectors: Float[Tensor, "M D"],
    settings: StageOneSettings = StageOneSettings(),
    words: Float[Tensor, "V D"] | None = None,
) -> StageOne:
    """Fit stage one to vectors of many pictures, in an order drawn from the seed.

    The loss is on vectors less their mean, divided by their mean distance from it (`Stage.centred`).

    Args:
        vectors: unit vectors.
        settings: how.
        words: vectors of words; what these do not differ in, no question can ask for.

    Raises:
        SettingsError: fewer than two usable vectors, or settings out of range.
    """
    vectors = check_vectors(vectors, "an autoencoder")
    if settings.steps < 1 or settings.batch < 1 or not settings.lr > 0:
        raise SettingsError("stage one needs steps >= 1, batch >= 1 and lr > 0", settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        stage = StageOne(vectors.shape[1])
    measure = None if words is None else measure_of(words, settings.words)
    start(stage, vectors, measure)
    adam = torch.optim.Adam(stage.parameters(), lr=settings.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps)
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in track(range(settings.steps), "stage one"):
        wanted = stage.centred(vectors[torch.randint(len(vectors), (settings.batch,), generator=generator)])
        adam.zero_grad()
        found = stage.decoder(stage.encoder(wanted))
        pair = (found, wanted) if measure is None else (found @ measure.root, wanted @ measure.root)
        stage_one_loss(*pair, settings.cosine_weight).backward()
        adam.step()
        schedule.step()
    return stage


def write_stage_one(path: Path, stage: StageOne, about: Mapping[str, Any]) -> None:
    """Write the first stage in half precision."""
    write_tensors(path, {name: t.half() for name, t in stage.state_dict().items()}, {**about, "kind": "stage one"})


def read_stage_one(path: Path) -> StageOne:
    """Read a first stage, float32.

    Raises:
        FormatError: missing, damaged, or of another shape.
    """
    tensors, _ = read_tensors(path)
    first = tensors.get("encoder.0.weight")
    if first is None or first.ndim != 2 or any(t.dtype != torch.float16 for t in tensors.values()):
        raise FormatError("not the first stage of the two autoencoders", path, "langfield weights dense")
    with torch.device("meta"):
        stage = StageOne(first.shape[1])
    load_stage(stage, {name: t.float() for name, t in tensors.items()})
    return stage.eval().requires_grad_(False)


class OnlineStage:
    """Stage two while it learns; what it is depends on the settings and the keyframes it has seen alone."""

    def __init__(self, settings: StageTwoSettings = StageTwoSettings()) -> None:
        if min(settings.first_steps, settings.steps, settings.samples) < 1 or settings.replay < 0:
            raise SettingsError("stage two needs first_steps, steps and samples >= 1 and replay >= 0", settings)
        self.settings = settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.stage = StageTwo()
        self._adam = torch.optim.Adam(self.stage.parameters(), lr=settings.first_lr)
        self._memory: dict[int, Tensor] = {}
        self.seen = 0
        """Keyframes it has learned from."""

    @one_thread()
    def learn(self, keyframe_id: int, middle: Float[Tensor, "M 32"]) -> float:
        """Take a keyframe's vectors in: 200 steps on the first, then one step on it and two earlier ones.

        Args:
            keyframe_id: number; one that was seen before is replaced in the memory.
            middle: what stage one made of the keyframe's vectors.

        Returns:
            The loss before the last step.
        """
        s = self.settings
        rng = np.random.default_rng((s.seed, self.seen))
        rows = np.sort(rng.permutation(len(middle))[: s.samples])
        now = middle.detach()[torch.from_numpy(rows)].clone()
        past = [i for i in sorted(self._memory) if i != keyframe_id]
        if not self.seen and len(now):
            start(self.stage, now)
        steps, lr = (s.steps, s.lr) if self.seen else (s.first_steps, s.first_lr)
        self._adam.param_groups[0]["lr"] = lr
        loss = 0.0
        for _ in range(steps if len(now) else 0):
            drawn = rng.choice(past, min(s.replay, len(past)), replace=False) if past else []
            loss = self._step(torch.cat([now, *(self._memory[int(i)] for i in drawn)]))
        self._memory[keyframe_id] = now
        self.seen += 1
        return loss

    def _step(self, wanted: Float[Tensor, "M 32"]) -> float:
        self._adam.zero_grad()
        found, wanted = self.stage.decode(self.stage.encode(wanted)), self.stage.centred(wanted)
        loss = stage_two_loss(self.stage.centred(found), wanted, self.settings.cosine_weight)
        loss.backward()
        self._adam.step()
        return float(loss.detach())

    def forget(self, keyframe_id: int) -> None:
        """Replay a keyframe no more."""
        self._memory.pop(keyframe_id, None)

    def frozen(self) -> StageTwo:
        """Give the stage as it is now, cut from what it will learn."""
        copy = StageTwo()
        copy.load_state_dict({name: t.clone() for name, t in self.stage.state_dict().items()})
        return copy.eval().requires_grad_(False)

    def state(self) -> dict[str, Tensor]:
        """Give weights, moments, memory and how many keyframes were seen."""
        tensors = {f"net.{name}": t.clone() for name, t in self.stage.state_dict().items()}
        for i, moments in self._adam.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{name}": moments[name].clone() for name in MOMENTS}
        memory = {f"memory.{i}": t for i, t in self._memory.items()}
        return {**tensors, **memory, "seen": torch.tensor(self.seen)}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            FormatError: tensors are missing or do not fit.
        """
        groups: dict[str, dict[str, Tensor]] = {"net": {}, "adam": {}, "memory": {}}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            if rest:
                groups.setdefault(group, {})[rest] = tensor
        load_stage(self.stage, {name: t.clone() for name, t in groups["net"].items()})
        self._adam = torch.optim.Adam(self.stage.parameters(), lr=self.settings.first_lr)
        if groups["adam"]:
            self._load_moments(groups["adam"])
        if any(not i.isdigit() or t.ndim != 2 or t.shape[1] != 32 for i, t in groups["memory"].items()):
            raise FormatError("saved memory of the second stage is not of vectors of 32", None, "map the scene again")
        self._memory = {int(i): t for i, t in groups["memory"].items()}
        self.seen = int(tensors["seen"]) if "seen" in tensors else len(self._memory)

    def _load_moments(self, saved: Mapping[str, Tensor]) -> None:
        state: dict[int, dict[str, Tensor]] = {}
        for i, parameter in enumerate(self.stage.parameters()):
            found = {name: saved.get(f"{i}.{name}") for name in MOMENTS}
            fits = all(t is not None and t.shape in (parameter.shape, torch.Size([])) for t in found.values())
            if not fits:
                raise FormatError("saved moments of the second stage do not fit", f"adam.{i}", "map the scene again")
            state[i] = {name: t.clone() for name, t in found.items() if t is not None}
        self._adam.load_state_dict({**self._adam.state_dict(), "state": state})
