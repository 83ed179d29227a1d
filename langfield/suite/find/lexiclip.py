"""Things are found by what is said of them; no vector of a picture is kept.

A model describes each thing once, field by field, and one text encoder reads both the description and the question, so
no gap between pictures and words is left, and an index can leave the house without the pictures. LexiCLIP:
Vision-Free Retrieval (arXiv 2509.19203). Unlike CLIPPINGS pictures play no part; unlike Cross the Gap
nothing is inverted.

Ours: template and loss of the paper are not published. A short question and a long description of the same thing are
drawn together by a change of low rank of the text vectors, learnt by contrast, that begins as no change at all; items
of one label are what is said of one thing. Without labels text vectors are taken as they are.

Cost: products of batch x D x rank numbers a step; asking costs nothing beyond the text encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.objectives import supervised_contrastive
from langfield.suite.slots import Items
from langfield.suite.trainer import Stage, Training

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

NEEDS = ("text_vectors",)


@dataclass(frozen=True)
class Settings:
    """How questions and descriptions are brought together."""

    rank: int = 16
    """Of the change."""
    temperature: float = 0.05
    steps: int = 150
    lr: float = 3e-3
    batch: int = 64
    """Things a step."""
    seed: int = 0


class Change(nn.Module):
    """x + A B x, of unit length; A begins at zero.

    Args:
        dim: width of the vectors.
        rank: of the change.
        seed: draws B.
    """

    def __init__(self, dim: int, rank: int, seed: int) -> None:
        super().__init__()
        start = torch.randn(rank, dim, generator=torch.Generator().manual_seed(seed)) / dim**0.5
        self.down, self.up = nn.Parameter(start), nn.Parameter(torch.zeros(dim, rank))

    def forward(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
        """Change vectors."""
        return normalize(vectors + vectors @ self.down.T @ self.up.T, dim=1)


def begin(items: Items, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Say what will be trained on which texts.

    Raises:
        SettingsError: there are no texts, or nothing is said twice of one thing.
    """
    del model
    vectors, labels = _texts(items), items.labels
    if labels is None or int(torch.bincount(labels).max()) < 2:
        raise SettingsError("nothing is said twice of one thing", "lexiclip", "give a question and a description each")
    change, things = Change(vectors.shape[1], settings.rank, settings.seed), torch.unique(labels)

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        chosen = torch.isin(labels, things[rows])
        return {"contrast": supervised_contrastive(change(vectors[chosen]), labels[chosen], settings.temperature)}

    return Training((Stage(settings.steps, settings.lr, batch=settings.batch),), change, objective, len(things))


def find(
    items: Items, model: ClipModel | None = None, settings: Settings = Settings()
) -> Callable[[Items], Float[Tensor, "M D"]]:
    """Learn from what is said of things, and give what turns texts into vectors to search by; pictures are not read.

    Args:
        items: texts; with labels, several of one thing.
        model: not used.
        settings: how.

    Raises:
        SettingsError: there are no texts.
    """
    vectors, labels = _texts(items), items.labels
    change: nn.Module = Change(vectors.shape[1], settings.rank, settings.seed)
    if labels is not None and len(labels) and int(torch.bincount(labels).max()) > 1:
        training = begin(items, model, settings)
        training.run(settings.seed)
        change = training.learner
    return torch.no_grad()(lambda asked: change(_texts(asked)))


def fields(description: str) -> tuple[str, ...]:
    """Give the sentences of a structured description, each searched beside the whole.

    Args:
        description: sentences, or fields such as "colour: red", parted by full stops, semicolons or line ends.
    """
    parts = description.replace("\n", ".").replace(";", ".").split(".")
    return tuple(part.strip() for part in parts if part.strip())


def score(question: Float[Tensor, " D"], whole: Float[Tensor, " D"], parts: Float[Tensor, "F D"]) -> Float[Tensor, ""]:
    """Give how well a description answers: its best field's cosine and that of the whole, halved."""
    best = (parts @ question).amax() if len(parts) else whole @ question
    return (best + whole @ question) / 2


def _texts(items: Items) -> Float[Tensor, "M D"]:
    if items.text_vectors is None:
        raise SettingsError("things without texts cannot be found by texts", "lexiclip", "describe them")
    return items.text_vectors
