"""Learnt words enter several layers of the text tower, and linear images of them the image tower.

MaPLe: Multi-modal Prompt Learning (arXiv 2210.03117, Section 3.2): two words before each name learn, fresh ones take
their places at every layer down to a depth, and a linear map of each layer's words makes as many tokens of that layer
of the image tower. Towers stay frozen. Unlike CoOp the prompts go deep and, where there are pictures, into both towers;
unlike CLIP-SVD no weight of a tower changes.

Ours: a field's vectors are made already, so `fit` learns the text side alone, from vectors as the field holds them:
the paper's deep language prompting, its pictures' half left out. `adapt` learns both halves from pictures; its head
fits vectors of pictures seen while `Prompts.attach` holds, so a field would have to be embedded anew for it.

Cost: a text pass forward and back per name and step; with pictures an image pass each too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from langfield.errors import SettingsError
from langfield.suite import deep_prompts
from langfield.suite.fewshot import columns, examples_head, needed, targets
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask
from langfield.suite.surgery import Change
from langfield.suite.trainer import Stage, Training, frozen

NEEDS = ("model",)
SPREAD = 0.02  # of what deeper prompts begin with, as in the paper's code


@dataclass(frozen=True)
class Settings:
    """How many prompts there are, where, and how they are trained."""

    init: str = "a photo of a"
    """Words before each name, as the first of which the first prompts begin."""
    words: int = 2
    depth: int = 9  # at most as many layers as the towers have
    steps: int = 60
    lr: float = 3.5e-3
    batch: int = 32
    seed: int = 0


class Prompts(nn.Module):
    """The names' vectors with learnt prompts, and where `coupled`, what the image tower gets of them."""

    def __init__(self, model: ClipModel, names: tuple[str, ...], settings: Settings, coupled: bool = False) -> None:
        super().__init__()
        if not 0 < settings.words < int(model.text_ends(model.ids([settings.init]))[0]) or settings.depth < 1:
            raise SettingsError("prompts take the place of words before the names", str(settings), "say more words")
        self._model, self._ids = (model,), model.ids([f"{settings.init} {name}" for name in names])
        with torch.no_grad():
            self._embeddings = model.token_embeddings(self._ids)
        first, generator = self._embeddings[0, 1 : 1 + settings.words], torch.Generator().manual_seed(settings.seed)
        layers = deep_prompts.depth(model, settings.depth, coupled)
        drawn = [SPREAD * torch.randn(first.shape, generator=generator).to(first) for _ in range(layers - 1)]
        self.prompts = nn.ParameterList([nn.Parameter(start.clone()) for start in (first, *drawn)])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            width = model.visual.transformer.width if coupled else 0
            self.couples = nn.ModuleList([nn.Linear(first.shape[1], width) for _ in range(layers if coupled else 0)])

    @property
    def model(self) -> ClipModel:
        """The CLIP that is prompted."""
        return self._model[0]

    def forward(self) -> Float[Tensor, "C D"]:
        """Give a unit vector per name."""
        model, count = self.model, len(self.prompts[0])
        first = self.prompts[0].expand(len(self._ids), -1, -1)
        embeddings = torch.cat([self._embeddings[:, :1], first, self._embeddings[:, 1 + count :]], dim=1)
        with deep_prompts.in_words(model, list(self.prompts)):
            return model.text_from_embeddings(embeddings, model.text_ends(self._ids))

    def attach(self) -> Change:
        """Let the image tower have the prompts until the change is removed."""
        made = [couple(prompt) for couple, prompt in zip(self.couples, self.prompts, strict=True)]
        return deep_prompts.in_pictures(self.model, made)

    def images(self, pixels: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """Give unit vectors of preprocessed pictures under the prompts, with gradients."""
        with self.attach():
            return self.model.image_vectors(pixels)


def fit(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Head:
    """Learn prompts of the text tower and give the head of the names with them.

    Args:
        task: at least one example.
        model: the CLIP whose space the examples are in.
        settings: see above.

    Raises:
        SettingsError: there is no text tower, no example, or nothing to hold names against.
    """
    return _learnt(task, needed(model, "MaPLe"), settings, None)[0]


def adapt(
    task: FewShotTask, pictures: Sequence[UInt8[np.ndarray, "h w 3"]], model: ClipModel, settings: Settings = Settings()
) -> tuple[Head, Prompts]:
    """Learn prompts of both towers from pictures of the examples.

    Args:
        task: whose labels are those of the pictures; its vectors are not read.
        pictures: RGB, one an example.
        model: a CLIP of two transformers that can be taken apart.
        settings: see above.

    Returns:
        The head of the names, and the prompts under which vectors of pictures are made for it.
    """
    return _learnt(task, model, settings, model.pixels(pictures))


def begin(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Give the training of the text side before it begins; see `fit`."""
    return _training(Prompts(needed(model, "MaPLe"), task.names, settings), task, settings, None)


def _training(prompts: Prompts, task: FewShotTask, settings: Settings, pixels: Tensor | None) -> Training:
    labels, model = targets(task), prompts.model

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        vectors = task.vectors[rows] if pixels is None else prompts.images(pixels[rows])
        logits = model.logit_scale * columns(vectors, prompts(), task.negatives)
        return {"classify": cross_entropy(logits, labels[rows])}

    stage = Stage(settings.steps, settings.lr, batch=settings.batch, optimiser="sgd", warmup=1)
    return Training((stage,), prompts, objective, len(labels))


def _learnt(task: FewShotTask, model: ClipModel, settings: Settings, pixels: Tensor | None) -> tuple[Head, Prompts]:
    prompts = Prompts(model, task.names, settings, pixels is not None)
    with frozen(model.module):
        _training(prompts, task, settings, pixels).run(settings.seed)
    about = (("method", "maple"), ("prompts in", "text" if pixels is None else "text and pictures"))
    return examples_head(task, prompts().detach(), model.logit_scale, about), prompts
