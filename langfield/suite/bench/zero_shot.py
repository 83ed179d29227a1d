"""Zero-shot classification: the class whose text lies nearest."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def class_vectors(texts: Float[Tensor, "C T D"]) -> Float[Tensor, "C D"]:
    """Give one unit vector per class from unit vectors of its texts (CLIP's ensemble, arXiv 2103.00020, 3.1.4)."""
    return F.normalize(texts.mean(1), dim=1)


def accuracy(scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"], top: int = 1) -> float:
    """Give the share of rows whose right class is among the `top` best; what ties with it counts as before it."""
    right = scores.gather(1, labels[:, None])
    before = (scores >= right).sum(1) - 1
    return float((before < top).double().mean())


def mean_class_accuracy(scores: Float[Tensor, "N C"], labels: Int[Tensor, " N"]) -> float:
    """Give the mean over classes that occur of the share of their rows that are right."""
    parts = [accuracy(scores[labels == c], labels[labels == c]) for c in torch.unique(labels)]
    return sum(parts) / len(parts)
