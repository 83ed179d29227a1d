"""Only the singular values of a tower's weight matrices are trained: directions stay, their strengths move.

Singular Value Few-shot Adaptation of Vision-Language Models (arXiv 2509.03740): the packed attention weight is split
into queries, keys and values, each of them, the output projection and both MLP matrices are written as U diag(S) V, and
only S learns. Unlike CoOp and MaPLe the inputs stay as they are and the tower itself changes, by a few numbers a layer.

Ours: the text tower alone is adapted, to vectors that the field holds after its codec, so that no picture is encoded
anew; the paper adapts both towers. The model is never touched: adapted weights are put in for each pass alone. Without
a text tower (the text bridge) there is nothing to adapt, and it refuses.

Cost: a text pass forward and back per name and step, and one decomposition of each matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from langfield.artefacts import read_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.fewshot import columns, examples_head, needed, targets
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask
from langfield.suite.surgery import Change, put
from langfield.suite.trainer import Stage, Training, frozen

NEEDS = ("model",)
MODIFIER = "svd"
"""The spec's change that reads what was learnt: "+svd:FILE"."""
MATRICES = {"attn.in_proj_weight": 3, "attn.out_proj.weight": 1, "mlp.c_fc.weight": 1, "mlp.c_proj.weight": 1}
"""Weights of a block that are decomposed, and into how many parts each is split first."""


@dataclass(frozen=True)
class Settings:
    """How singular values are trained."""

    template: str = "a photo of a {}"
    steps: int = 60
    lr: float = 2e-2
    """Ten times the paper's, which trains for thousands of steps and not for tens."""
    weight_decay: float = 0.01
    batch: int = 32


class Strengths(nn.Module):
    """The names' vectors by a text tower whose singular values learn."""

    def __init__(self, model: ClipModel, names: tuple[str, ...], template: str) -> None:
        super().__init__()
        if not model.has_text_tower:
            raise SettingsError(f"{model.name} has no text tower to adapt", remedy="use gda or coop")
        self._model, self._ids = (model,), model.ids([template.format(name) for name in names])
        self._sides: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.values = nn.ParameterDict()
        blocks = {id(block) for block in model.text.transformer.resblocks}
        for path, module in model.module.named_modules():
            for name, parts in MATRICES.items() if id(module) in blocks else ():
                self._take(f"{path}.{name}", module.get_parameter(name).detach(), parts)

    def _take(self, name: str, weight: Float[Tensor, "O I"], parts: int) -> None:
        found = [torch.linalg.svd(part, full_matrices=False) for part in weight.chunk(parts)]
        self._sides[name] = [(left, right) for left, _, right in found]
        for part, (_, values, _) in enumerate(found):
            self.values[f"{name}:{part}".replace(".", "/")] = nn.Parameter(values)

    def learnt(self) -> dict[str, Float[Tensor, " R"]]:
        """Give the singular values by parameter and part, in the order of the tower's own; "+svd:FILE" reads them."""
        return {name.replace("/", "."): values.detach() for name, values in self.values.items()}

    def weights(self) -> dict[str, Tensor]:
        """Give the adapted weights by the names of the model's parameters."""
        made = {}
        for name, sides in self._sides.items():
            keys = [f"{name}:{part}".replace(".", "/") for part in range(len(sides))]
            parts = [(left * self.values[key]) @ right for key, (left, right) in zip(keys, sides, strict=True)]
            made[name] = torch.cat(parts)
        return made

    def forward(self) -> Float[Tensor, "C D"]:
        """Give a unit vector per name."""
        return functional_call(self._model[0].module, self.weights(), (), {"text": self._ids})[1]


def fit(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Head:
    """Adapt the text tower to examples and give the head of the names in it.

    Args:
        task: at least one example.
        model: the CLIP whose space the examples are in, with a text tower.
        settings: see above.

    Raises:
        SettingsError: there is no such model, no example, or nothing to hold names against.
    """
    model = needed(model, "CLIP-SVD")
    training = begin(task, model, settings)
    with frozen(model.module):
        training.run()
    numbers = sum(p.numel() for p in training.learner.parameters())
    about = (("method", "clip-svd"), ("learnt numbers", str(numbers)))
    return examples_head(task, training.learner().detach(), model.logit_scale, about)


def begin(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Give the training before it begins; see `fit`."""
    model = needed(model, "CLIP-SVD")
    labels = targets(task)
    learner, scale = Strengths(model, task.names, settings.template), model.logit_scale

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        logits = scale * columns(task.vectors[rows], learner(), task.negatives)
        return {"classify": cross_entropy(logits, labels[rows])}

    stage = Stage(settings.steps, settings.lr, ("values",), settings.batch, weight_decay=settings.weight_decay)
    return Training((stage,), learner, objective, len(labels))


def load_values(model: ClipModel, file: str) -> Change:
    """Put singular values of a file in place of a tower's own; the spec's "+svd:FILE".

    Args:
        model: the one they were learnt on; its directions stay.
        file: what `langfield suite adapt clip-svd` wrote.

    Raises:
        FormatError: the file is damaged, or its values are not as many as this tower's.
        SettingsError: the model has no text tower.
    """
    learner, (found, _) = Strengths(model, ("",), "{}"), read_tensors(Path(file))
    own = learner.learnt()
    wrong = [name for name in sorted(own.keys() | found.keys()) if name not in own or name not in found
             or own[name].shape != found[name].shape]  # fmt: skip
    if wrong:
        raise FormatError("singular values do not fit this model", f"{file}: {wrong[0]}", "name the one they are of")
    for name, values in found.items():
        learner.values[name.replace(".", "/")] = nn.Parameter(values.to(own[name]))
    change = Change()
    for name, weight in learner.weights().items():
        owner, _, last = name.rpartition(".")
        change.add(put(model.module.get_submodule(owner), last, weight.detach()))
    return change
