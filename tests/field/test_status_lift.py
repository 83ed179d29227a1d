"""Captions to states: a chain against all its paths, a made history with wrong captions, and who owns a Gaussian."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import Identity
from langfield.errors import FormatError, QueryError, SettingsError
from langfield.field.lift import Sums, column_of, pack
from langfield.field.status_lift import (
    StatesSettings,
    check_states,
    forward_backward,
    lift_status,
    owners,
    thing_states,
)
from langfield.field.types import Field
from langfield.query.states import rows_scores, thing_scores, when_thing
from tests.blobs import blob_gaussians

T, WIDTH = 60, 64
TIMES = torch.arange(T).double() / 10
SPOKEN = normalize(torch.randn(40, WIDTH, generator=torch.Generator().manual_seed(9)), dim=-1)


def history(wrong: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Captions of a thing that is closed, open from 2.0 to 3.9 s, and closed again; some say something else."""
    g = torch.Generator().manual_seed(seed)
    state = torch.zeros(T, dtype=torch.long)
    state[20:40] = 1
    said = normalize(SPOKEN[state] + 0.03 * torch.randn(T, WIDTH, generator=g), dim=-1)
    stray = torch.rand(T, generator=g) < wrong
    said[stray] = SPOKEN[torch.randint(0, 10, (T,), generator=g)][stray]
    return said, state


def test_forward_backward_is_the_sum_over_all_paths():
    emission = torch.rand(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = torch.zeros(5, 3, dtype=torch.float64)
    for path in itertools.product(range(3), repeat=5):
        weight = 1.0
        for t, k in enumerate(path):
            weight *= float(emission[t, k]) * ((0.8 if path[t - 1] == k else 0.1) if t else 1 / 3)
        for t, k in enumerate(path):
            total[t, k] += weight
    torch.testing.assert_close(forward_backward(emission, 0.2), total / total.sum(1, keepdim=True))
    assert forward_backward(emission[:, :1], 0.2).equal(torch.ones(5, 1, dtype=torch.float64))


@pytest.mark.parametrize("states", [1, 2, 3, 6])
def test_states_are_found_among_wrong_captions(states):
    missed = []
    for seed in range(6):
        said, state = history(seed=seed)
        heard = torch.ones(T, dtype=torch.bool)
        heard[50:53] = False
        prototypes, shares = thing_states(said, heard, StatesSettings(states=states))
        torch.testing.assert_close(shares.sum(1), torch.ones(T))
        mixed = normalize(shares @ prototypes, dim=-1)
        missed.append(float(((mixed @ SPOKEN[:2].T).argmax(1) != state).float().mean()))
    if states == 1:
        assert min(missed) > 0.3  # one state cannot tell
    else:
        assert max(missed) <= 2 / T, missed


def test_when_is_answered_from_lifted_states():
    n = len(gaussians := blob_gaussians())
    found = [history(seed=seed)[0] for seed in (1, 2)]
    codes = torch.stack([found[0], normalize(SPOKEN[5] + 0.03 * torch.randn(T, WIDTH), dim=-1)])
    owner = torch.tensor([0, 1, -1]).repeat(n)[:n].int()
    tracks = lift_status(owner, TIMES, codes, torch.ones(2, T, dtype=torch.bool), StatesSettings())
    field = Field(gaussians, None, None, {}, caption_codec=Identity(WIDTH), status_tracks=tracks)
    answer = when_thing(field, 0, (SPOKEN[1], SPOKEN[10:]))
    assert answer.verdict == "found"
    assert len(answer.intervals) == 1
    assert answer.intervals[0].first_s == pytest.approx(2.0, abs=0.11)
    assert answer.intervals[0].last_s == pytest.approx(3.9, abs=0.11)
    assert when_thing(field, 1, (SPOKEN[1], SPOKEN[10:])).verdict == "never"
    throughout = when_thing(field, 1, (SPOKEN[5], SPOKEN[10:]))
    assert [(i.first_s, i.last_s) for i in throughout.intervals] == [(0.0, 5.9)]
    scores = rows_scores(field, SPOKEN[:2], TIMES[:4].tolist(), torch.nonzero(owner == 0)[:, 0])
    torch.testing.assert_close(
        torch.tensor(scores), torch.tensor(thing_scores(field, SPOKEN[:2], TIMES[:4].tolist())[0])
    )
    assert torch.tensor(rows_scores(field, SPOKEN[:2], [0.0], torch.tensor([2]))).isnan().all()
    with pytest.raises(QueryError, match="no thing 2"):
        when_thing(field, 2, (SPOKEN[1], SPOKEN[10:]))
    with pytest.raises(QueryError, match="width 3"):
        thing_scores(field, torch.ones(1, 3), [0.0])
    with pytest.raises(QueryError, match="no states"):
        thing_scores(replace(field, status_tracks=None), SPOKEN, [0.0])


def test_a_gaussian_belongs_to_what_has_most_of_its_weight_in_all_views():
    rows = [(0, 0, 1, 5), (0, 1, 2, 3), (1, 0, 2, 1), (1, 1, 0, 9), (2, 0, 1, 4), (2, 1, 2, 4)]  # gaussian view thing w
    gaussian, view, thing, weight = torch.tensor(rows).T
    columns = torch.stack([column_of(int(v), t) for v, t in zip(view, thing, strict=True)])
    key = pack(torch.zeros_like(gaussian), gaussian, columns)
    order = key.argsort()
    sums = Sums(key[order], torch.stack([weight, weight], 1)[order] * 2**30)
    assert owners(sums, 4, 2).tolist() == [0, -1, -1, -1]
    assert owners(sums, 4, 2, 0.0).tolist() == [0, 1, 0, -1]
    assert owners(sums, 4, 0 + 2, 0.7).tolist() == [-1, -1, -1, -1]
    with pytest.raises(FormatError, match="thing 1"):
        owners(sums, 4, 1)


def test_settings_out_of_range_are_refused():
    for bad in ({"states": 0}, {"wrong": 0.0}, {"dwell": 1.0}, {"turns": 0}, {"least_share": 1.0}):
        with pytest.raises(SettingsError):
            check_states(replace(StatesSettings(), **bad))
