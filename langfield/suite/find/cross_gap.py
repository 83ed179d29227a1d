"""A picture's vector is turned into the vector of a text before other pictures are compared with it.

Vectors of two pictures were never trained to lie near each other, only pictures and texts were; so a question in
pictures is first inverted into one made-up word. Cross the Gap: Exposing the Intra-modal Misalignment in CLIP via
Modality Inversion (arXiv 2502.04263), its OTI: the embedding of one word in "a photo of" is moved until the text's
vector lies as near to the picture's as it can. Unlike CLIPPINGS and LexiCLIP nothing is learnt from other things, and
the encoder is left alone.

Ours: every inversion begins at the same noise, so that equal pictures become equal words, and its rate falls to
nothing. A model without a text tower has no words to make up: there the vector becomes a mixture of the texts the items
came with, nearer ones counting more. Its second half, OVI (texts into pictures), is not built.

Cost: one pass and one gradient of the text tower a step, all items in one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.progress import step
from langfield.suite.slots import Items
from langfield.suite.trainer import frozen

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

NEEDS = ("model",)
ONE_SIDE = True
BATCH = 64


@dataclass(frozen=True)
class Settings:
    """How long and how fast a word is looked for; the paper's numbers."""

    template: str = "a photo of"
    """What stands before the made-up word."""
    steps: int = 150
    lr: float = 0.02
    weight_decay: float = 0.01
    spread: float = 0.02
    """Standard deviation of the numbers a word begins with."""
    sharpness: float = 20.0
    """Without a text tower: how much nearer texts count more than others."""
    seed: int = 0


def find(
    items: Items, model: ClipModel | None = None, settings: Settings = Settings()
) -> Callable[[Items], Float[Tensor, "M D"]]:
    """Give what inverts the vectors of items into vectors of texts.

    Args:
        items: whose texts stand in for words where the model has no text tower.
        model: whose space the vectors lie in.
        settings: how.

    Raises:
        SettingsError: there is no model, or neither a text tower nor texts to mix.
    """
    if model is None:
        raise SettingsError("there is no model to invert with", "cross-gap", "name one by --model")
    if model.has_text_tower:
        return lambda asked: _in_batches(asked.vectors, lambda part: invert(model, part, settings))
    if items.text_vectors is None or not len(items.text_vectors):
        raise SettingsError(f"{model.name} has no text tower and there are no texts to mix", "cross-gap", "name things")
    words, centre = torch.unique(items.text_vectors, dim=0), items.vectors.mean(dim=0)
    return lambda asked: mixture(asked.vectors - centre, words, settings.sharpness)


def invert(model: ClipModel, vectors: Float[Tensor, "M D"], settings: Settings) -> Float[Tensor, "M D"]:
    """Give the vectors of the texts, of one made-up word each, that lie nearest to vectors (OTI).

    Args:
        model: one with a text tower, which is not changed.
        vectors: unit vectors of pictures.
        settings: how.
    """
    ids = model.ids([f"{settings.template} x"])
    end = model.text_ends(ids)
    with torch.no_grad():
        embeddings = model.token_embeddings(ids)[:, : int(end) + 1]
    noise = torch.randn(embeddings.shape[-1], generator=torch.Generator().manual_seed(settings.seed))
    words = nn.Parameter((settings.spread * noise).expand(len(vectors), -1).clone())

    def texts() -> Float[Tensor, "M D"]:
        rows = embeddings.expand(len(vectors), -1, -1)
        made = torch.cat([rows[:, : int(end) - 1], words[:, None], rows[:, int(end) :]], dim=1)
        return model.text_from_embeddings(made, end.expand(len(vectors)))

    optimiser = torch.optim.AdamW([words], settings.lr, weight_decay=settings.weight_decay)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(settings.steps, 1))
    with frozen(model.module), torch.enable_grad():
        for done in range(settings.steps):
            optimiser.zero_grad(set_to_none=True)
            (1 - (texts() * vectors).sum(dim=1)).sum().backward()  # a sum: each word goes its own way
            optimiser.step()
            falling.step()
            step(done + 1, settings.steps)
    with torch.no_grad():
        return normalize(texts().float(), dim=1)


def mixture(vectors: Float[Tensor, "M D"], words: Float[Tensor, "W D"], sharpness: float) -> Float[Tensor, "M D"]:
    """Give the mixtures of texts, nearer ones counting more, that stand for vectors where no word can be made up.

    Args:
        vectors: of pictures, less what pictures of the scene have in common.
        words: unit vectors of texts; what they have in common is taken off before they are weighed.
        sharpness: how much nearer texts count more than others.
    """
    apart = normalize(words - words.mean(dim=0), dim=1) if len(words) > 1 else words
    near = normalize(vectors, dim=1) @ apart.T
    return normalize(torch.softmax(sharpness * near, dim=1) @ words, dim=1).float()


def _in_batches(vectors: Float[Tensor, "M D"], work: Callable[[Tensor], Tensor]) -> Float[Tensor, "M D"]:
    parts = [work(vectors[start : start + BATCH]) for start in range(0, len(vectors), BATCH)]
    return torch.cat(parts) if parts else vectors
