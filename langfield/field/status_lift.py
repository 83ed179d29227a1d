"""The states of things in closed form: captions of a thing over time become a few states and when each holds.

Nothing here descends. Which Gaussians are a thing follows from the sums of blend weight that lifting gathers. Its
captions, one per time and some of them wrong, are the observations of a hidden Markov model (Rabiner 1989) whose states
last: unit vectors scatter around a state's prototype, now and then a caption says something else altogether, and the
forward-backward pass tells how likely each state is at each time. Prototypes are then the mean of what their times say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int32
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import FormatError, SettingsError
from langfield.field.lift import SEGMENT_BITS, Sums
from langfield.field.status import StatusTracks
from langfield.field.status_fit import StatusSettings, prototypes_of


@dataclass(frozen=True)
class StatesSettings:
    """How captions become states."""

    states: int = 3
    """K at most; states that no caption needs repeat others."""
    wrong: float = 0.1
    """Share of captions that say something else."""
    dwell: float = 8.0
    """Captions that a state lasts on average."""
    turns: int = 10
    """Of expectation and maximisation."""
    least_share: float = 0.5
    """A Gaussian belongs to a thing that has at least this share of its weight in all views."""


@dataclass(frozen=True)
class StatusChoice:
    """Which states a field gets, and how."""

    kind: Literal["tracks", "net", "both"] = "both"
    """tracks: of things, in closed form; net: of Gaussians, the status deformable network of 4D LangSplat;
    both: the network too where there is a deformation, as `query --when` asks it first."""
    lift: StatesSettings = field(default_factory=StatesSettings)
    """The closed form."""
    net: StatusSettings = field(default_factory=StatusSettings)
    """The network."""


def owners(sums: Sums, n: int, things: int, least_share: float = 0.5) -> Int32[Tensor, " N"]:
    """Give the thing every Gaussian belongs to, -1 where none has enough of its weight.

    Args:
        sums: of views whose id maps hold thing + 1, and 0 where there is none; any levels, all counted.
        n: number of Gaussians.
        things: O.
        least_share: of the gated weight.

    Raises:
        FormatError: sums hold a thing that is not there.
    """
    thing = sums.column & (2**SEGMENT_BITS - 1)
    if len(thing) and int(thing.max()) > things:
        raise FormatError(f"sums hold thing {int(thing.max()) - 1}, there are {things}", remedy="lift again")
    weight = torch.zeros(n * (things + 1), dtype=torch.float64)
    weight.index_add_(0, sums.gaussian * (things + 1) + thing, sums.weight[:, 0].clamp_min(0))
    weight = weight.unflatten(0, (n, things + 1))
    best = weight[:, 1:].max(dim=1) if things else None
    if best is None:
        return torch.full((n,), -1, dtype=torch.int32)
    enough = best.values > least_share * weight.sum(1)
    return torch.where(enough, best.indices, -1).int()


def lift_status(
    owner: Int32[Tensor, " N"],
    times_s: Float64[Tensor, " T"],
    codes: Float[Tensor, "O T s"],
    said: Bool[Tensor, "O T"],
    settings: StatesSettings,
) -> StatusTracks:
    """Give the states of things and when each holds.

    Args:
        owner: the thing every Gaussian belongs to, from `owners`.
        times_s: rising, seconds.
        codes: of what was said about every thing at every time; any length.
        said: where something was.
        settings: how.

    Raises:
        SettingsError: a setting lies outside its range.
    """
    check_states(settings)
    units = normalize(codes.float(), dim=-1)
    found = [thing_states(u, s, settings) for u, s in zip(units, said, strict=True)]
    shape = (len(units), settings.states, units.shape[-1])
    prototypes = torch.stack([p for p, _ in found]) if found else units.new_zeros(shape)
    shares = torch.stack([s for _, s in found]) if found else units.new_zeros(0, len(times_s), settings.states)
    return StatusTracks(owner, prototypes, times_s, shares)


def thing_states(
    units: Float[Tensor, "T s"], said: Bool[Tensor, " T"], settings: StatesSettings
) -> tuple[Float[Tensor, "K s"], Float[Tensor, "T K"]]:
    """Give the prototypes of one thing, and how likely each state is at each time."""
    calm = _calm(units, said)
    prototypes = prototypes_of(calm[:, None], said[:, None], settings.states)[0]
    shares = units.new_full((len(units), settings.states), 1 / settings.states)
    for _ in range(settings.turns):
        shares, trusted = _posterior(units, said, prototypes, settings)
        sums = (shares * trusted[:, None]).T @ units
        prototypes = torch.where(sums.norm(dim=1, keepdim=True) > 1e-6, normalize(sums, dim=1), prototypes)
    return prototypes, shares


def _calm(units: Float[Tensor, "T s"], said: Bool[Tensor, " T"]) -> Float[Tensor, "T s"]:
    """Replace each vector by that of its five neighbours in time which agrees best with all five."""
    rows = torch.nonzero(said)[:, 0]
    near = units[rows]
    if len(near) < 3:
        return units
    at = torch.arange(len(rows))[:, None] + torch.arange(-2, 3)
    at = at.clamp(0, len(rows) - 1)
    window = near[at]  # T 5 s
    best = torch.einsum("tis,tjs->tij", window, window).sum(-1).argmax(-1)
    return units.index_copy(0, rows, window[torch.arange(len(rows)), best])


def _posterior(
    units: Float[Tensor, "T s"], said: Bool[Tensor, " T"], prototypes: Float[Tensor, "K s"], settings: StatesSettings
) -> tuple[Float[Tensor, "T K"], Float[Tensor, " T"]]:
    """Give how likely each state is at each time, and how likely each caption is not one of the wrong ones."""
    cosine = units.double() @ prototypes.double().T
    best = cosine.amax(1)[said]
    spread = max(float((1 - best).quantile(0.7)), 0.01) if len(best) else 1.0
    fits = torch.exp((cosine - 1) / spread)
    stray = torch.exp(torch.tensor(-4.0, dtype=torch.float64))  # as far as four times the usual distance
    # A wrong caption names another state, or something else.
    emission = (1 - settings.wrong) * fits + settings.wrong * (fits.mean(1, keepdim=True) + stray)
    emission = torch.where(said[:, None], emission, torch.ones_like(emission))
    shares = forward_backward(emission, 1 / settings.dwell)
    trusted = ((1 - settings.wrong) * fits / emission * shares).sum(1) * said
    return shares.float(), trusted.float()


def forward_backward(emission: Float[Tensor, "T K"], change: float) -> Float[Tensor, "T K"]:
    """Give how likely each state is at each time, of a chain that leaves its state with a probability.

    Args:
        emission: likelihood of what was observed in each state; any scale per time.
        change: probability to leave, shared by the other states.
    """
    states = emission.shape[1]
    step = torch.full((states, states), change / max(states - 1, 1), dtype=emission.dtype)
    step.fill_diagonal_(1 - change if states > 1 else 1.0)
    forward, backward = torch.empty_like(emission), torch.ones_like(emission)
    now = torch.full((states,), 1 / states, dtype=emission.dtype)
    for t in range(len(emission)):
        now = (now @ step if t else now) * emission[t]
        now = now / now.sum()
        forward[t] = now
    for t in range(len(emission) - 2, -1, -1):
        later = step @ (backward[t + 1] * emission[t + 1])
        backward[t] = later / later.sum()
    both = forward * backward
    return both / both.sum(1, keepdim=True)


def check_states(s: StatesSettings) -> None:
    """Refuse settings out of range.

    Raises:
        SettingsError: one is.
    """
    if s.states < 1 or not 0 < s.wrong < 1 or s.dwell <= 1 or s.turns < 1 or not 0 <= s.least_share < 1:
        raise SettingsError(
            "states need K >= 1, wrong between 0 and 1, dwell above 1, turns >= 1 and least_share below 1", s
        )
