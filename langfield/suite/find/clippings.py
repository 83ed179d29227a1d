"""Picture and text of a thing become one vector, trained so that the same thing links across views, scans and times.

Neither a shape nor a label alone says which of many things this is; their mean does. Linking Representations with
Multimodal Contrastive Learning (arXiv 2304.03464): e = unit(w picture + (1 - w) text), trained by supervised contrast
in batches made of things that are easily confused. Unlike Cross the Gap it learns from things whose identity is known;
unlike LexiCLIP it keeps the picture.

Ours: the towers stay as they are and a linear map of either side is learnt, which begins as no change at all; batches
are made of an anchor thing and the other things nearest to it, as in the paper. Links are the cut of single linkage.

Cost: products of batch x D x D numbers a step, seconds for hundreds of things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
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

NEEDS = ("labels", "text_vectors")


@dataclass(frozen=True)
class Settings:
    """How pictures and texts are pooled, and for how long that is trained; weight and temperature are the paper's."""

    weight: float = 0.5
    """Of the picture, 1 - it of the text."""
    temperature: float = 0.1
    steps: int = 100
    lr: float = 1e-3
    batch: int = 16
    """Things, of which each brings its nearest others."""
    near: int = 3
    """Other things that each thing of a batch brings."""
    seed: int = 0


class Pool(nn.Module):
    """The pooled vector under a linear change of either side.

    Args:
        weight: of the picture.
        dim: width of both.
    """

    def __init__(self, weight: float, dim: int) -> None:
        super().__init__()
        self.share = weight
        self.image = nn.Parameter(torch.zeros(dim, dim))
        self.text = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, images: Float[Tensor, "M D"], texts: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
        """Give unit(w (I + A) picture + (1 - w) (I + B) text)."""
        seen, said = images + images @ self.image.T, texts + texts @ self.text.T
        return normalize(self.share * normalize(seen, dim=1) + (1 - self.share) * normalize(said, dim=1), dim=1)


def begin(items: Items, model: ClipModel | None = None, settings: Settings = Settings()) -> Training:
    """Say what will be trained on which things.

    Raises:
        SettingsError: there are no labels or texts, or no thing is there twice.
    """
    del model
    images, texts, labels = _parts(items)
    pool = Pool(settings.weight, images.shape[1])
    things = torch.unique(labels)
    with torch.no_grad():
        pooled = pool(images, texts)
    firsts = torch.stack([pooled[labels == thing][0] for thing in things])
    order = (firsts @ firsts.T).argsort(dim=1, descending=True)[:, : settings.near + 1]

    def objective(rows: Int64[Tensor, " B"]) -> dict[str, Tensor]:
        chosen = torch.isin(labels, things[torch.unique(order[rows])])
        return {
            "contrast": supervised_contrastive(
                pool(images[chosen], texts[chosen]), labels[chosen], settings.temperature
            )
        }

    return Training((Stage(settings.steps, settings.lr, batch=settings.batch),), pool, objective, len(things))


def find(
    items: Items, model: ClipModel | None = None, settings: Settings = Settings()
) -> Callable[[Items], Float[Tensor, "M D"]]:
    """Learn, and give what pools pictures and texts.

    Args:
        items: things with texts and known identity, at least one of them seen twice.
        model: not used.
        settings: how.

    Raises:
        SettingsError: there are no labels or texts, or no thing is there twice.
    """
    training = begin(items, model, settings)
    training.run(settings.seed)
    pool = training.learner

    @torch.no_grad()
    def transform(asked: Items) -> Float[Tensor, "M D"]:
        if asked.text_vectors is None:
            raise SettingsError("a thing without a text cannot be linked", "clippings", "name or caption it")
        return pool(asked.vectors, asked.text_vectors)

    return transform


def link(vectors: Float[Tensor, "M D"], least: float) -> Int64[np.ndarray, " M"]:
    """Give the entity of each vector: single linkage, cut where no cosine of two of them reaches `least`.

    Args:
        vectors: pooled unit vectors.
        least: cosine from which on two are one thing.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(vectors) < 2:
        return np.zeros(len(vectors), np.int64)
    found = linkage(vectors.double().numpy(), "single", "cosine")
    return fcluster(found, 1 - least + 1e-9, "distance").astype(np.int64) - 1


def _parts(items: Items) -> tuple[Tensor, Tensor, Tensor]:
    if items.labels is None or items.text_vectors is None:
        raise SettingsError("linking is learnt from things of known identity with texts", "clippings", "label some")
    if int(torch.bincount(items.labels).max()) < 2:
        raise SettingsError("no thing is there twice", "clippings", "give several views of each")
    return items.vectors, items.text_vectors, items.labels
