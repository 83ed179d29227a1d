"""Rows of Gaussians against torch's own Adam, and through insertion and pruning."""

import pytest
import torch

from langfield.errors import FormatError
from langfield.online.rows import Rates, Rows
from langfield.raster import Gaussians

RATES = Rates(1e-3, 2e-3, 3e-3, 4e-3, 5e-3)


def some(n: int, seed: int) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    shapes = ((n, 3), (n, 4), (n, 3), (n,), (n, 4, 3))
    return Gaussians(*(torch.randn(shape, generator=g) for shape in shapes))


def rows_of(n: int, seed: int = 0) -> Rows:
    rows = Rows(4, RATES, torch.device("cpu"))
    rows.add(some(n, seed))
    return rows


def test_all_rows_learn_as_with_torchs_adam():
    rows, plain = rows_of(7), [t.clone().requires_grad_() for t in some(7, 0).tensors()]
    numbers = (RATES.means, RATES.quats, RATES.log_scales, RATES.logit_opacities, RATES.sh)
    groups = [{"params": [p], "lr": lr} for p, lr in zip(plain, numbers, strict=True)]
    adam = torch.optim.Adam(groups, eps=1e-15)
    for step in range(5):
        grads = some(7, 10 + step).tensors()
        rows.learn(grads, torch.ones(7, dtype=torch.bool))
        for p, g in zip(plain, grads, strict=True):
            p.grad = g.clone()
        adam.step()
    for ours, theirs in zip(rows.gaussians.tensors(), plain, strict=True):
        torch.testing.assert_close(ours, theirs.detach())


def test_what_a_row_has_learned_stays_with_it():
    both, alone = rows_of(6), rows_of(6)
    alone.keep(torch.tensor([4, 1]))
    some_rows = torch.tensor([False, True, False, False, True, False])
    for step in range(3):
        grads = some(6, 20 + step).tensors()
        both.learn(grads, some_rows)
        alone.learn([g[[4, 1]] for g in grads], torch.ones(2, dtype=torch.bool))
    both.keep(torch.tensor([4, 1]))
    both.add(some(3, 5))
    alone.add(some(3, 5))
    grads = some(5, 40).tensors()
    for rows in (both, alone):
        rows.learn(grads, torch.tensor([True, True, True, False, True]))
    for a, b in zip(both.gaussians.tensors(), alone.gaussians.tensors(), strict=True):
        assert torch.equal(a, b)
    assert both.age.tolist() == [4, 4, 1, 0, 1]


def test_rows_that_are_not_named_stay_as_they_are():
    rows = rows_of(4)
    rows.learn(some(4, 1).tensors(), torch.tensor([True, False, False, True]))
    assert torch.equal(rows.gaussians.means[1:3], some(4, 0).means[1:3])
    assert not torch.equal(rows.gaussians.means[0], some(4, 0).means[0])


def test_a_damaged_state_is_told():
    state = rows_of(4).state()
    for spoilt in ({**state, "first": state["first"][:2]}, {"values": state["values"]}):
        with pytest.raises(FormatError):
            rows_of(2).load_state(spoilt)
