"""Discriminants: leaving each example out by the closed form is refitting without it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from langfield.suite.discriminant import discriminant, left_out


def examples(labels: list[int], dim: int, noise: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors around the mean of their class, in double precision."""
    g, owner = torch.Generator().manual_seed(seed), torch.tensor(labels)
    means = torch.randn(max(labels) + 1, dim, generator=g, dtype=torch.float64)
    drawn = torch.randn(len(labels), dim, generator=g, dtype=torch.float64)
    return normalize(means[owner] + noise * drawn, dim=1), owner


def refitted(vectors: torch.Tensor, labels: torch.Tensor, classes: int, which: torch.Tensor) -> torch.Tensor:
    """One discriminant for every example that is left out."""
    rows = []
    for row in torch.nonzero(which)[:, 0].tolist():
        kept = torch.arange(len(labels)) != row
        rows.append(discriminant(vectors[kept], labels[kept], classes, vectors.shape[1]).logits(vectors[row, None]))
    return torch.cat(rows)


@pytest.mark.parametrize(
    ("labels", "dim", "noise"),
    [
        ([0, 0, 0, 1, 1, 1, 1, 2, 2], 40, 0.5),
        ([0, 1, 2, 3, 4] * 12, 24, 1.0),  # more examples than numbers
        ([0, 0, 3, 3, 3, 5], 16, 0.3),  # a single example, and classes without any
        ([0, 0, 1, 1], 8, 1e-3),
        ([0, 0, 1, 2], 12, 0.4),  # without either of its first two nothing has a spread
        ([0, 0, 0, 1, 1], 12, 0.0),  # examples of a class are equal
        ([2, 2, 2], 12, 0.4),  # one class alone
    ],
)
def test_left_out_is_refitting_without_it(labels, dim, noise):
    vectors, owner = examples(labels, dim, noise)
    which = torch.bincount(owner)[owner] > 1
    found = left_out(vectors, owner, 7, which)
    torch.testing.assert_close(found, refitted(vectors, owner, 7, which), rtol=1e-6, atol=1e-7)
    assert found.shape == (int(which.sum()), 7)


def test_an_example_left_out_is_not_known():
    """Labels without sense: with itself among the examples each would look right, left out it must not."""
    g = torch.Generator().manual_seed(3)
    vectors = normalize(torch.randn(60, 80, generator=g, dtype=torch.float64), dim=1)
    labels = torch.arange(3).repeat(20)
    all_of_them = torch.ones(60, dtype=torch.bool)
    right = float((left_out(vectors, labels, 3, all_of_them).argmax(dim=1) == labels).double().mean())
    known = float((discriminant(vectors, labels, 3, 80).logits(vectors).argmax(dim=1) == labels).double().mean())
    assert known > 0.95
    assert right < 0.6
