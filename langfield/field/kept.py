"""A part of a field's Gaussians as a field of its own, with all that is known of them."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from langfield.field.instances import Instances
from langfield.field.status import StatusNet, StatusTracks
from langfield.field.types import Field, LanguageShape
from langfield.raster.types import Gaussians


def kept_part(field: Field, kept: Bool[Tensor, " N"]) -> Field:
    """Give the field of some Gaussians: they look, move, answer and change their states as before.

    Things that lose all of theirs go, so the others have new numbers; their states have the same.

    Args:
        field: of any kind.
        kept: which Gaussians stay.
    """
    own, things = field.language, field.instances
    return replace(
        field,
        gaussians=Gaussians(*(t[kept] for t in field.gaussians.detach().tensors())),
        codes=None if field.codes is None else field.codes[:, kept],
        reliability=None if field.reliability is None else field.reliability[:, kept],
        instances=None if things is None else things.of_kept(kept),
        status_tracks=None if field.status_tracks is None else _tracks(field.status_tracks, things, kept),
        status_net=None if field.status_net is None else _net(field.status_net, kept),
        language=own and LanguageShape(own.quats[kept], own.log_scales[kept], own.logit_opacities[kept]),
    )


def _net(net: StatusNet, kept: Bool[Tensor, " N"]) -> StatusNet:
    return replace(net, prototypes=net.prototypes[kept])


def _tracks(tracks: StatusTracks, things: Instances | None, kept: Bool[Tensor, " N"]) -> StatusTracks:
    """Number things as the field's instances will be."""
    owner = tracks.owner[kept].long()
    if things is None or len(things) != len(tracks.prototypes):
        return replace(tracks, owner=owner.int())
    order = things.order_of_kept(kept)
    number = torch.full((len(things) + 1,), -1).index_copy(0, order, torch.arange(len(order)))
    return replace(
        tracks, owner=number[owner].int(), prototypes=tracks.prototypes[order], shares=tracks.shares[order]
    )  # fmt: skip
