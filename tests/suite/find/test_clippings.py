"""Linking: single linkage by its definition, the paper's pooling, and things that neither side tells apart."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.effects.clippings import planted
from langfield.suite.effects.clippings import rand_index as benchs_index
from langfield.suite.find.clippings import Pool, find, link
from langfield.suite.slots import Items


def unit(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def rand_index(one: np.ndarray, other: np.ndarray) -> float:
    """Adjusted Rand index from counts of pairs, by its definition."""
    n = len(one)
    same = [(one[i] == one[j], other[i] == other[j]) for i in range(n) for j in range(i)]
    both, first, second = (sum(map(f, same)) for f in (all, lambda p: p[0], lambda p: p[1]))
    expected = first * second / len(same)
    return (both - expected) / max((first + second) / 2 - expected, 1e-12)


def test_the_benchs_index_is_the_definitions():
    rng = np.random.default_rng(0)
    for _ in range(5):
        one, other = rng.integers(0, 4, 25), rng.integers(0, 3, 25)
        assert benchs_index(one, other) == pytest.approx(rand_index(one, other))
    assert benchs_index(one, one) == pytest.approx(1.0)


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
