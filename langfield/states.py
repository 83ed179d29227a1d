"""Tracks and captions become parts of a field: which Gaussians each thing has, its states, and when each holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from langfield.caption_stage import Spoken
from langfield.capture.types import Camera
from langfield.codec.types import Codec
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import Deformation, deform
from langfield.field.instances import Instances
from langfield.field.lift import look, merge
from langfield.field.photometric import step_seed
from langfield.field.status import StatusNet, StatusTracks
from langfield.field.status_fit import StatusFit, StatusSettings, prototypes_of
from langfield.field.status_lift import StatusChoice, lift_status, owners
from langfield.progress import track
from langfield.raster import Gate, Gaussians
from langfield.raster.threads import kernels_only
from langfield.tracks import Tracks


@dataclass(frozen=True)
class Owned:
    """Which Gaussians are which thing's."""

    owner: Int32[Tensor, " N"]
    """Thing of each Gaussian, -1 where none."""
    instances: Instances
    """The same as things of a field: as many as there are tracks, with their numbers; some may have no Gaussian."""


@dataclass(frozen=True)
class StateParts:
    """Parts of a field, under the names that `Field` has for them."""

    caption_codec: Codec
    status_tracks: StatusTracks | None
    status_net: StatusNet | None


def own_gaussians(
    gaussians: Gaussians,
    deformation: Deformation | None,
    cameras: Sequence[Camera],
    tracks: Tracks,
    least_share: float = 0.5,
) -> Owned:
    """Give each Gaussian the thing in whose pixels most of its weight lies, over all pictures at their own times.

    Args:
        gaussians: the canonical ones, N.
        deformation: how they differ at each picture's time.
        cameras: of the tracks' pictures, in their order, with times; of any size.
        tracks: the things.
        least_share: of a Gaussian's weight that its thing must have.

    Raises:
        FormatError: cameras and pictures differ in number, or a camera has no time.
    """
    if len(cameras) != len(tracks.maps) or any(c.time_s is None for c in cameras):
        raise FormatError("tracks need a camera with a time for each of their pictures", f"{len(cameras)} cameras")
    gate = Gate()
    parts = []
    with kernels_only(), torch.no_grad():
        for number, camera in enumerate(track(cameras, "things")):
            ids = torch.from_numpy(tracks.ids(number))[None]
            moved = deform(gaussians, deformation, camera.time_s or 0.0)
            parts.append(look(moved, camera.resized(ids.shape[2], ids.shape[1]), ids, number, gate))
    owner = owners(merge(parts), len(gaussians), len(tracks), least_share)
    return Owned(owner, instances_of(owner, tracks))


def instances_of(owner: Int32[Tensor, " N"], tracks: Tracks) -> Instances:
    """Give tracks as things of a field."""
    rows = torch.argsort(owner, stable=True)[int((owner < 0).sum()) :]
    sizes = torch.bincount(owner[rows].long(), minlength=len(tracks))
    first = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return Instances(
        tracks.vectors.half(), tracks.views.int(), tracks.reliability, first, rows.int(), tracks.members.int()
    )


def lift_states(
    gaussians: Gaussians,
    deformation: Deformation | None,
    owner: Int32[Tensor, " N"],
    spoken: Spoken,
    settings: StatusChoice,
) -> StateParts:
    """Give the states of things, in closed form, by the network of 4D LangSplat, or both.

    Args:
        gaussians: the canonical ones, N.
        deformation: the network stands on it.
        owner: the thing every Gaussian belongs to, -1 where none.
        spoken: what was said of the things.
        settings: which states and how.

    Raises:
        SettingsError: a setting lies outside its range, or a network is wanted without a deformation.
    """
    codes = spoken.codes()
    tracks = net = None
    if settings.kind != "net":
        tracks = lift_status(owner, spoken.times_s, codes, spoken.said, settings.lift)
    if settings.kind == "net" or (settings.kind == "both" and deformation is not None):
        if deformation is None:
            raise SettingsError("a status network stands on a deformation, and there is none", "status.kind")
        net = fit_net(gaussians, deformation, owner, (spoken, codes), settings.net)
    return StateParts(spoken.codec, tracks, net)


def fit_net(
    gaussians: Gaussians,
    deformation: Deformation,
    owner: Int32[Tensor, " N"],
    said: tuple[Spoken, Float[Tensor, "O T s"]],
    settings: StatusSettings,
) -> StatusNet:
    """Learn the status network from captions as they are, one time a step (4D LangSplat, section 3.4).

    Args:
        gaussians: the canonical ones, N.
        deformation: frozen.
        owner: the thing every Gaussian belongs to, -1 where none; those keep prototypes of zero.
        said: what was said, and its codes.
        settings: how.
    """
    spoken, codes = said
    rows = torch.nonzero(owner >= 0)[:, 0]
    things = owner[rows].long()
    prototypes = prototypes_of(codes.transpose(0, 1), spoken.said.T, settings.states)
    part = Gaussians(*(t[rows.to(t.device)] for t in gaussians.tensors()))
    fit = StatusFit(part, deformation, prototypes[things], settings)
    times = torch.nonzero(spoken.said.any(0))[:, 0]
    order = torch.Generator().manual_seed(step_seed(settings.seed, 0, "status times"))
    for _ in track(range(settings.steps if len(times) and len(rows) else 0), "status net"):
        t = int(times[torch.randint(len(times), (1,), generator=order)])
        fit.step_gaussians(float(spoken.times_s[t]), codes[things, t], spoken.said[things, t].float())
    net = fit.net
    everyone = net.prototypes.new_zeros(len(gaussians), *net.prototypes.shape[1:])
    return replace(net, prototypes=everyone.index_copy(0, rows.to(everyone.device), net.prototypes))
