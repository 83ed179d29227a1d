"""The words around a name become vectors that are learnt from examples: "a photo of a mug" with another "a photo of a".

Learning to Prompt for Vision-Language Models (arXiv 2109.01134, Section 3.2, unified context, name last). Only the
context moves, both towers are frozen, and all names share it: names that were never shown profit too, unlike in GDA,
whose classifier knows examples alone. Unlike MaPLe the first layer is the only one with prompts.

Ours: examples are vectors, those that the field holds after its codec, so no picture is encoded; what is shown as none
of the names is held against the negatives' words, which stay as they are. Without a text tower (the text bridge) the
context is one vector in the output space, added to every name's before it is scaled to unit length; the head says so.

Cost: a text pass forward and back per name and step; without a text tower milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from langfield.suite.fewshot import columns, examples_head, needed, targets
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask
from langfield.suite.trainer import Stage, Training, frozen

NEEDS = ("model",)


@dataclass(frozen=True)
class Settings:
    """How the context begins and how it is trained."""

    init: str = "a photo of a"
    """Words whose embeddings the context begins as."""
    specific: bool = False
    """Whether each name learns a context of its own (the paper's class-specific context), for names nobody knows."""
    steps: int = 60
    lr: float = 2e-3
    """The paper's, for stochastic gradient descent; without a text tower times 0.1."""
    batch: int = 32


class Context(nn.Module):
    """The names' texts with a learnt context in a text tower."""

    def __init__(self, model: ClipModel, names: tuple[str, ...], settings: Settings) -> None:
        super().__init__()
        self._model = (model,)  # in a tuple: its parameters are not this module's
        self._ids = model.ids([f"{settings.init} {name}" for name in names])
        last = int(model.text_ends(model.ids([settings.init]))[0])
        with torch.no_grad():
            self._embeddings = model.token_embeddings(self._ids)
            start = self._embeddings[: len(names) if settings.specific else 1, 1:last]
        self.context = nn.Parameter(start.clone())

    def forward(self) -> Float[Tensor, "C D"]:
        """Give a unit vector per name."""
        count, (model,) = self.context.shape[1], self._model
        learnt = self.context.expand(len(self._ids), -1, -1)
        embeddings = torch.cat([self._embeddings[:, :1], learnt, self._embeddings[:, 1 + count :]], dim=1)
        return model.text_from_embeddings(embeddings, model.text_ends(self._ids))


class Shift(nn.Module):
    """The names' vectors with a learnt vector added, where there is no text tower."""

    def __init__(self, texts: Float[Tensor, "C D"], settings: Settings) -> None:
        super().__init__()
        self._texts = texts
        self.context = nn.Parameter(torch.zeros(len(texts) if settings.specific else 1, texts.shape[1]))

    def forward(self) -> Float[Tensor, "C D"]:
        """Give a unit vector per name."""
        return normalize(self._texts + self.context, dim=-1)


def fit(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Head:
    """Learn the context and give the head of the names in it.

    Args:
        task: at least one example; its texts are used where there is no text tower.
        model: the CLIP whose space the examples are in.
        settings: see above.

    Raises:
        SettingsError: there is no model, no example, or nothing to hold names against.
    """
    model = needed(model, "CoOp")
    training = begin(task, model, settings)
    with frozen(model.module):
        training.run()
    about = (("method", "coop"), ("context", type(training.learner).__name__))
    return examples_head(task, training.learner().detach(), model.logit_scale, about)


def begin(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Give the training before it begins; see `fit`."""
    model = needed(model, "CoOp")
    labels, scale = targets(task), model.logit_scale
    towered = model.has_text_tower
    learner = Context(model, task.names, settings) if towered else Shift(task.texts.float(), settings)
    rate = settings.lr if towered else 0.1 * settings.lr

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        logits = scale * columns(task.vectors[rows], learner(), task.negatives)
        return {"classify": cross_entropy(logits, labels[rows])}

    stage = Stage(settings.steps, rate, ("context",), settings.batch, "sgd", warmup=1)
    return Training((stage,), learner, objective, len(labels))
