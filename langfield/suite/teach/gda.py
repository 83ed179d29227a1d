"""Gaussian discriminant analysis: class means and one shared covariance give a classifier in closed form.

It is added to the zero-shot logits, so a few clicks correct what the words get wrong. A Hard-to-Beat Baseline for
Training-free CLIP-based Adaptation (arXiv 2402.04087). Unlike CoOp, MaPLe and CLIP-SVD nothing is trained and no
encoder is needed; unlike nearest mean it knows in which directions examples of one name differ.

Ours: how much the examples count is chosen by leaving each out in turn, the paper uses a validation set; an example
that is its name's only one cannot be left out and must be known again; with a single example of every name, which
leaves nothing to choose by, both parts are made to differ equally. What is shown as none of the names is a class of its
own, whose words are the negatives. Means of few examples are longer than those of many; what noise adds to their length
is taken off the bias, which cancels where all names have as many, as in the paper.

Cost: a few products of M x M numbers for M examples, milliseconds; leaving all out in turn included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from langfield.suite.discriminant import Discriminant, discriminant, left_out
from langfield.suite.fewshot import scale_of, targets
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import FewShotTask

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

NEEDS = ()
GRID = tuple(10 ** (step / 2) for step in range(-8, 5))
"""Weights of the examples that are tried: 1e-4 to 1e2, as in the paper's code."""


@dataclass(frozen=True)
class Settings:
    """How words and examples are weighed."""

    logit_scale: float | None = None
    """What cosines with words are multiplied by; None for the model's own, or 100, CLIP's, without a model."""
    alpha: float | None = None
    """Weight of the examples; None chooses it."""


def fit(task: FewShotTask, model: ClipModel | None = None, settings: Settings = Settings()) -> Head:
    """Make a head of words and examples.

    Args:
        task: at least one example.
        model: gives the scale of cosines, where there is one.
        settings: how both are weighed.

    Raises:
        SettingsError: there is no example, or one of none of the names but no negatives in words.
    """
    vectors, labels = task.vectors.double(), targets(task)
    words = torch.cat([task.texts, task.negatives]).double() * (settings.logit_scale or scale_of(model))
    owner = torch.tensor([*range(len(task.names)), *(len(task.names),) * len(task.negatives)])
    taught, alpha = discriminant(vectors, labels, int(owner.max()) + 1, vectors.shape[1]), settings.alpha
    if alpha is None:
        alpha = _choose(vectors, labels, taught, _best(vectors @ words.T, owner))
    weight, bias = words + alpha * taught.weight[owner], alpha * taught.bias[owner]
    rows = tuple(AGAINST if row == len(task.names) else row for row in owner.tolist())
    about = (("method", "gda"), ("examples", str(len(labels))), ("alpha", f"{alpha:.3g}"))
    return Head(task.names, weight.float(), bias.float(), rows, 1.0, rivals=True, about=about)


def _best(rows: Float[Tensor, "M R"], owner: Int64[Tensor, " R"]) -> Float[Tensor, "M C"]:
    return torch.stack([rows[:, owner == c].amax(dim=1) for c in range(int(owner.max()) + 1)], dim=1)


def _choose(
    vectors: Float[Tensor, "M D"], labels: Int64[Tensor, " M"], whole: Discriminant, zero_shot: Float[Tensor, "M C"]
) -> float:
    """Choose the weight that predicts examples left out best, of those that know the only example of a name again.

    Ties go to the smaller one.
    """
    again = torch.bincount(labels, minlength=zero_shot.shape[1])[labels] > 1
    if not bool(again.any()):
        both = zero_shot, whole.logits(vectors)
        spread = [float((part - part.mean(dim=1, keepdim=True)).square().mean().sqrt()) for part in both]
        return spread[0] / spread[1] if spread[1] > 1e-6 else 0.0  # one class alone tells nothing apart
    together = left_out(vectors, labels, zero_shot.shape[1], again)
    losses = [float(cross_entropy(zero_shot[again] + alpha * together, labels[again])) for alpha in GRID]
    alone = whole.logits(vectors[~again])
    found = [(zero_shot[~again] + alpha * alone).argmax(dim=1) for alpha in GRID]
    right = [torch.equal(answer, labels[~again]) for answer in found]  # of examples that no other can stand in for
    able = [alpha for alpha, fits in zip(GRID, right, strict=True) if fits or not any(right)]
    return min(able, key=lambda alpha: losses[GRID.index(alpha)])
