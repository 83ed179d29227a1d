"""Sparse non-negative codes against a loop that tries one atom at a time with scipy's non-negative least squares."""

import numpy as np
import torch
from scipy.optimize import nnls
from torch.nn.functional import normalize

from langfield.codec.pursuit import nonnegative_weights, pursue, pursue_sums


def draw(seed: int, *shape: int) -> torch.Tensor:
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def naive(vector: np.ndarray, atoms: np.ndarray, count: int) -> tuple[list[int], np.ndarray]:
    taken, weights = [], np.zeros(0)
    for _ in range(count):
        left = vector - weights @ atoms[taken] if taken else vector
        scores = [-np.inf if a in taken else atoms[a] @ left for a in range(len(atoms))]
        taken.append(int(np.argmax(scores)))
        weights, _ = nnls(atoms[taken].T, vector)
    return taken, weights


def test_against_a_loop_with_an_exact_solver():
    atoms, vectors = draw(0, 24, 16), 1.7 * draw(1, 30, 16)
    found = pursue(vectors, atoms, 4)
    for row in range(30):
        taken, weights = naive(vectors[row].double().numpy(), atoms.double().numpy(), 4)
        assert found.index[row].tolist() == taken
        np.testing.assert_allclose(found.weight[row].numpy(), weights, atol=2e-3)


def test_weights_meet_the_conditions_of_optimality():
    atoms, vectors = draw(2, 50, 4, 8), draw(3, 50, 8)
    gram, products = atoms @ atoms.mT, (atoms @ vectors[:, :, None])[:, :, 0]
    weight = nonnegative_weights(gram, products, torch.zeros(50, 4))
    slope = (gram @ weight[:, :, None])[:, :, 0] - products
    assert (weight >= 0).all()
    assert (weight == 0).any()
    assert (slope > -2e-3).all()
    assert (slope * weight).abs().max() < 2e-3


def test_sums_of_few_atoms_are_found_as_from_the_vectors():
    atoms = draw(4, 20, 32)
    sums = torch.zeros(40, 20).scatter_(1, torch.rand(40, 20).argsort(dim=1)[:, :3], torch.rand(40, 3) + 0.2)
    found = pursue_sums(sums, atoms @ atoms.T, 5)
    again = torch.zeros(40, 20).scatter_add_(1, found.index, found.weight)
    torch.testing.assert_close(again @ atoms, sums @ atoms, atol=1e-3, rtol=0)


def test_sums_of_many_atoms_are_nearly_as_well_written_as_their_vectors():
    atoms = normalize(draw(5, 30, 16).abs() + 0.1, dim=-1)
    sums = torch.rand(50, 30, generator=torch.Generator().manual_seed(6)) ** 4
    vectors = sums @ atoms

    def error(found):
        return float((torch.einsum("mk,mkd->md", found.weight, atoms[found.index]) - vectors).norm(dim=1).mean())

    assert error(pursue_sums(sums, atoms @ atoms.T, 4)) < 1.5 * error(pursue(vectors, atoms, 4))


def test_fewer_atoms_than_asked_for_and_no_vectors():
    atoms = draw(7, 2, 5)
    assert pursue(draw(8, 3, 5), atoms, 6).index.shape == (3, 2)
    assert pursue(torch.zeros(0, 5), atoms, 6).weight.shape == (0, 2)
    assert pursue_sums(torch.ones(3, 2), atoms @ atoms.T, 6).index.shape == (3, 2)
