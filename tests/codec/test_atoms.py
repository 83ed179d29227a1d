"""Learning atoms against plain loops."""

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.codec.atoms import cluster_step, refine_step, spread_start
from langfield.codec.pursuit import pursue


def draw(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_a_step_of_k_means_against_a_loop():
    vectors, centres = draw(0, 60, 5), draw(1, 7, 5)
    rows, places = vectors.double().numpy(), centres.double().numpy()
    sums = np.zeros((7, 5))
    for row in rows:
        sums[max(range(7), key=lambda c: float(row @ places[c]))] += row
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    np.testing.assert_allclose(cluster_step(vectors, centres.clone()).numpy(), expected, atol=1e-5)


def test_a_centre_nobody_is_near_moves_to_the_vector_worst_served():
    vectors = normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.6, 0.8]]), dim=-1)
    moved = cluster_step(vectors, torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    torch.testing.assert_close(moved[1], vectors[2])


def test_the_start_is_spread_and_has_no_row_twice():
    groups = normalize(draw(2, 5, 16).repeat(20, 1) + 1e-5 * torch.randn(100, 16), dim=-1)
    rows = spread_start(groups, 5, torch.Generator().manual_seed(0))
    assert sorted(int(r) % 5 for r in rows) == [0, 1, 2, 3, 4]
    copies = draw(3, 4, 8).repeat(10, 1)
    assert len(spread_start(copies, 20, torch.Generator().manual_seed(0))) == 4


def test_refining_brings_sparse_codes_nearer():
    vectors = 0.7 * draw(4, 200, 12)
    atoms = vectors[spread_start(vectors, 24, torch.Generator().manual_seed(0))] / 0.7

    def error(atoms):
        index, weight = pursue(vectors, atoms, 3)
        return float((torch.einsum("mk,mkd->md", weight, atoms[index]) - vectors).square().mean())

    errors = [error(atoms)]
    for _ in range(4):
        atoms = refine_step(vectors, atoms, 3)
        errors.append(error(atoms))
    torch.testing.assert_close(atoms.norm(dim=-1), torch.ones(24))
    assert errors[1] < 0.9 * errors[0]
    assert errors[-1] < errors[1]
