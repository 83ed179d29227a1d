"""CLIPPINGS: picture and text together link what neither does, and training helps."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.suite.effects.types import Effect
from langfield.suite.find.clippings import Settings, find, link
from langfield.suite.slots import Items

GROUND = "made vectors: 16 things of four shapes and four labels, six views each that were not trained on"
MEASURE = "adjusted Rand index of links, best cut"


def _unit(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def planted(seed: int, views: int = 6, dim: int = 24, first: int = 0) -> Items:
    """Sixteen things of four shapes and four labels: a picture shows the shape, a text says the label."""
    shape, label = _unit(seed, 4, dim), _unit(seed + 100, 4, dim)
    thing = torch.arange(16).repeat(views)
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed + 7))).Q[:4]
    light = torch.randn(len(thing), 4, generator=torch.Generator().manual_seed(seed + 8 + first)) @ turn
    seen = normalize(shape[thing // 4] + 0.7 * light + 0.25 * _unit(seed + 9 + first, len(thing), dim), dim=1)
    said = normalize(label[thing % 4] + 0.35 * _unit(seed + 10 + first, len(thing), dim), dim=1)
    return Items(seen, tuple(f"label {int(t) % 4}" for t in thing), said, thing)


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """Give the adjusted Rand index of two partitions, by counts of pairs."""
    pairs = np.triu_indices(len(one), 1)
    first, second = (part[pairs[0]] == part[pairs[1]] for part in (one, other))
    expected = first.sum() * second.sum() / len(first)
    return float(((first & second).sum() - expected) / max((first.sum() + second.sum()) / 2 - expected, 1e-12))


def linked(vectors: torch.Tensor | None, labels: torch.Tensor | None) -> float:
    """Give the index at the cut that links best."""
    if vectors is None or labels is None:
        return 0.0
    return max(rand_index(link(vectors, float(cut)), labels.numpy()) for cut in np.linspace(0.3, 0.99, 24))


def both_sides(seed: int) -> tuple[float, float]:
    """The better of picture and text, and both pooled and trained."""
    unseen = planted(seed, first=50)
    alone = max(linked(unseen.vectors, unseen.labels), linked(unseen.text_vectors, unseen.labels))
    return alone, linked(find(planted(seed))(unseen), unseen.labels)


def training(seed: int) -> tuple[float, float]:
    """Pooled as it is, and trained."""
    unseen, given = planted(seed, first=50), planted(seed)
    untrained = linked(find(given, settings=Settings(steps=0))(unseen), unseen.labels)
    return untrained, linked(find(given)(unseen), unseen.labels)


EFFECTS = (
    Effect("both sides link what neither does", GROUND, MEASURE, 0.2, both_sides),
    Effect("training on known things helps", GROUND, MEASURE, 0.05, training),
)
