"""Linking: single linkage by its definition, the paper's pooling, and things that neither side tells apart."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.find.clippings import Pool, Settings, find, link
from langfield.suite.slots import Items


def unit(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def planted(seed: int, views: int = 6, dim: int = 24, first: int = 0) -> Items:
    """Sixteen things of four shapes and four labels: a picture shows the shape, a text says the label."""
    shape, label = unit(seed, 4, dim), unit(seed + 100, 4, dim)
    thing = torch.arange(16).repeat(views)
    # Pictures differ most along a few directions that are no thing's, as views of one thing do.
    turn = torch.linalg.qr(torch.randn(dim, dim, generator=torch.Generator().manual_seed(seed + 7))).Q[:4]
    light = torch.randn(len(thing), 4, generator=torch.Generator().manual_seed(seed + 8 + first)) @ turn
    seen = normalize(shape[thing // 4] + 0.7 * light + 0.25 * unit(seed + 9 + first, len(thing), dim), dim=1)
    said = normalize(label[thing % 4] + 0.35 * unit(seed + 10 + first, len(thing), dim), dim=1)
    return Items(seen, tuple(f"label {int(t) % 4}" for t in thing), said, thing)


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """Adjusted Rand index from counts of pairs, by its definition."""
    n = len(one)
    same = [(one[i] == one[j], other[i] == other[j]) for i in range(n) for j in range(i)]
    both, first, second = (sum(map(f, same)) for f in (all, lambda p: p[0], lambda p: p[1]))
    expected = first * second / len(same)
    return (both - expected) / max((first + second) / 2 - expected, 1e-12)


def best_link(vectors: torch.Tensor | None, labels: torch.Tensor | None) -> float:
    assert vectors is not None
    assert labels is not None
    return max(rand_index(link(vectors, float(cut)), labels.numpy()) for cut in np.linspace(0.3, 0.99, 24))


def test_pooling_begins_as_the_mean_of_both_sides():
    given = planted(0)
    assert given.text_vectors is not None
    pool = Pool(0.3, 24)
    expected = normalize(0.3 * given.vectors + 0.7 * given.text_vectors, dim=1)
    torch.testing.assert_close(pool(given.vectors, given.text_vectors), expected)


@pytest.mark.parametrize("least", [0.2, 0.6, 0.9])
def test_links_are_what_can_be_reached_in_small_steps(least):
    """Single linkage: connected components of the graph of cosines that reach the cut."""
    vectors = unit(3, 30, 6)
    near, group = vectors @ vectors.T >= least, list(range(30))
    for _ in range(30):
        group = [min(group[j] for j in range(30) if near[i, j]) for i in range(30)]
    found = link(vectors, least)
    assert all((found[i] == found[j]) == (group[i] == group[j]) for i in range(30) for j in range(30))
    assert link(vectors[:1], least).tolist() == [0]


def test_what_cannot_be_learnt_from():
    given = planted(0)
    with pytest.raises(SettingsError, match="known identity"):
        find(dataclasses.replace(given, labels=None))
    with pytest.raises(SettingsError, match="twice"):
        find(dataclasses.replace(given, labels=torch.arange(len(given.vectors))))
    with pytest.raises(SettingsError, match="without a text"):
        find(given)(Items(given.vectors))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_both_sides_together_link_what_neither_does_and_training_helps(seed):
    """The paper's claims: pooled above picture or text alone, trained above untrained, on views not trained on."""
    given, unseen = planted(seed), planted(seed, first=50)
    picture, text = best_link(unseen.vectors, unseen.labels), best_link(unseen.text_vectors, unseen.labels)
    untrained = best_link(find(given, settings=Settings(steps=0))(unseen), unseen.labels)
    trained = best_link(find(given)(unseen), unseen.labels)
    assert trained > max(picture, text) + 0.2
    assert trained > untrained + 0.05
