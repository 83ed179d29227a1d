"""States of a thing as a list: opposites stay apart however alike they are, ways to say the same become one."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.field.status import StatusTracks
from langfield.query.named_states import named_states

TIMES = 40
NEARLY = torch.tensor([[1.0, 0.0, 0.3], [1.0, 0.0, -0.3], [1.0, 0.0, -0.29]])  # cosines of 0.83 and 1.00
APART = torch.eye(3)


def tracks(prototypes: torch.Tensor, states: np.ndarray) -> StatusTracks:
    """One thing, in one state at each time, 0.8 sure."""
    shares = torch.full((1, len(states), len(prototypes)), 0.2 / (len(prototypes) - 1))
    shares[0, torch.arange(len(states)), torch.from_numpy(states)] = 0.8
    owner = torch.zeros(1, dtype=torch.int32)
    return StatusTracks(owner, normalize(prototypes, dim=1)[None], torch.arange(len(states)).double(), shares)


def test_opposites_are_two_states_however_alike():
    states = np.repeat([0, 1, 2], [15, 15, 10])
    said = [(t, "The lamp is switched off." if k == 0 else "The lamp is lit.") for t, k in enumerate(states)]
    said[3] = (3, "The lamp is lit.")  # one in ten is wrong
    said[20] = (20, "The lamp is switched off.")
    found = named_states(tracks(NEARLY, states), 0, said)
    assert [s.name for s in found] == ["The lamp is switched off.", "The lamp is lit."]
    assert (found[0].active == (states == 0)).all()
    assert (found[1].active == (states > 0)).all()


def test_ways_to_say_the_same_are_one_state():
    states = np.random.default_rng(0).integers(0, 3, TIMES)
    words = ("The cup stays where it is.", "Here is a cup.", "A cup, seen from the front.")
    found = named_states(tracks(APART, states), 0, [(t, words[k]) for t, k in enumerate(states)])
    assert [s.active.all() for s in found] == [True]
    assert found[0].name in words


def test_where_words_say_nothing_lasting_differences_count():
    states = np.repeat([0, 1, 0], [14, 12, 14])
    words = ("Grmbl.", "Frtz.")
    said = [(t, words[k]) for t, k in enumerate(states)]
    found = named_states(tracks(APART[:2], states), 0, said)
    assert [(s.name, int(s.active.sum())) for s in found] == [("Grmbl.", 28), ("Frtz.", 12)]
    alike = named_states(tracks(NEARLY[1:], states), 0, said)
    assert len(alike) == 1


def test_of_a_thing_nobody_spoke_of_there_are_no_states():
    assert named_states(tracks(torch.zeros(3, 3), np.zeros(TIMES, int)), 0, []) == []
    lasting = named_states(tracks(APART, np.repeat([0, 1], [20, 20])), 0, [])
    assert [s.name for s in lasting] == ["", ""]


def test_a_state_for_every_time_is_told_by_what_is_said_around_it():
    said = [(t, "The box is open." if t < 18 else "The box is closed.") for t in range(TIMES)]
    said[7], said[30] = (7, "The box is closed."), (30, "The box is open.")
    near = torch.cat([torch.ones(TIMES, 1), 0.2 * torch.randn(TIMES, 2, generator=torch.Generator().manual_seed(0))], 1)
    owner, times = torch.zeros(1, dtype=torch.int32), torch.arange(TIMES).double()
    found = named_states(StatusTracks(owner, near[None], times, torch.eye(TIMES)[None]), 0, said)
    assert [s.name for s in found] == ["The box is open.", "The box is closed."]
    assert (found[0].active == (np.arange(TIMES) < 18)).all()
