"""Features that change with the state of things: prototypes of a few states, and how they are mixed at a time.

Two kinds. `StatusNet` is the status deformable network of 4D LangSplat (2503.10437, Section 3.4): K prototypes per
Gaussian, mixed by what a small network makes of the deformation's hidden state; its coefficients sum to one, as the
paper says and its code does not. `StatusTracks` is ours: K prototypes per thing, mixed by how likely each state is at
each time, found in closed form from captions (`field.status_lift`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int32
from torch import Tensor
from torch.nn.functional import linear, normalize, relu

from langfield.errors import FormatError
from langfield.field.deform import Deformation, hidden_state


@dataclass(frozen=True)
class StatusNet:
    """K states per Gaussian, mixed by a network of two layers over the deformation's hidden state."""

    prototypes: Float[Tensor, "N K s"]
    """Caption codes; scaled to unit length where used."""
    inner_weight: Float[Tensor, "H H"]
    inner_bias: Float[Tensor, " H"]
    outer_weight: Float[Tensor, "K H"]
    outer_bias: Float[Tensor, " K"]


@dataclass(frozen=True)
class StatusTracks:
    """K states for each of O things, and how likely each is at T times."""

    owner: Int32[Tensor, " N"]
    """The thing each Gaussian belongs to, -1 where none."""
    prototypes: Float[Tensor, "O K s"]
    """Caption codes; scaled to unit length where used."""
    times_s: Float64[Tensor, " T"]
    """Rising, seconds."""
    shares: Float[Tensor, "O T K"]
    """Likelihood of each state; sums to one."""


Status = StatusNet | StatusTracks


def mix(prototypes: Float[Tensor, "*N K s"], shares: Float[Tensor, "*N K"]) -> Float[Tensor, "*N s"]:
    """Give mixtures of unit prototypes, of unit length again (4D LangSplat, equation 7)."""
    return normalize((normalize(prototypes, dim=-1) * shares[..., None]).sum(dim=-2), dim=-1)


def net_shares(net: StatusNet, hidden: Float[Tensor, "N H"]) -> Float[Tensor, "N K"]:
    """Give how far each Gaussian is in each of its states."""
    inner = relu(linear(relu(hidden), net.inner_weight, net.inner_bias))
    return linear(inner, net.outer_weight, net.outer_bias).softmax(dim=-1)


def track_shares(tracks: StatusTracks, time_s: float) -> Float[Tensor, "O K"]:
    """Give how likely each state is at a time: between two times in proportion, outside them as at the nearest."""
    times = tracks.times_s
    after = int(torch.searchsorted(times, time_s).clamp(1, max(len(times) - 1, 1)))
    if len(times) == 1:
        return tracks.shares[:, 0]
    first, last = float(times[after - 1]), float(times[after])
    along = min(max((time_s - first) / (last - first), 0.0), 1.0)
    return torch.lerp(tracks.shares[:, after - 1], tracks.shares[:, after], along)


def thing_status(tracks: StatusTracks, time_s: float) -> Float[Tensor, "O s"]:
    """Give the caption code of every thing at a time, of unit length."""
    return mix(tracks.prototypes.float(), track_shares(tracks, time_s).float())


@torch.no_grad()
def status_at(
    status: Status, deformation: Deformation | None, means: Float[Tensor, "N 3"], time_s: float
) -> Float[Tensor, "N s"]:
    """Give the caption code of every Gaussian at a time, of unit length; zero where it belongs to no thing.

    Args:
        status: of either kind.
        deformation: of the same field.
        means: canonical centres.
        time_s: seconds.

    Raises:
        FormatError: a network is asked without the deformation it stands on.
    """
    if isinstance(status, StatusTracks):
        codes = thing_status(status, time_s)
        codes = torch.cat([codes, codes.new_zeros(1, codes.shape[1])])
        return codes[status.owner.long()]
    if deformation is None:
        raise FormatError("states are mixed by a network, but there is no deformation", "status_net")
    return mix(status.prototypes.float(), net_shares(status, hidden_state(deformation, means, time_s)).float())


def load_tracks(tensors: dict[str, Tensor]) -> StatusTracks:
    """Make tracks from the parts of a file, distrusting them; shapes have been held against each other.

    Raises:
        FormatError: an owner is no thing, times do not rise, or shares do not sum to one.
    """
    made = StatusTracks(**tensors)
    owner, shares = made.owner, made.shares.float()
    if len(owner) and not -1 <= int(owner.min()) <= int(owner.max()) < len(made.prototypes):
        raise FormatError(f"a Gaussian belongs to none of the {len(made.prototypes)} things", "status_tracks.owner")
    if not len(made.times_s) or bool((made.times_s.diff() <= 0).any()):
        raise FormatError("times of states do not rise", "status_tracks.times_s")
    if bool((shares < 0).any()) or bool(((shares.sum(-1) - 1).abs() > 1e-2).any()):
        raise FormatError("shares of states do not sum to one", "status_tracks.shares")
    return made
