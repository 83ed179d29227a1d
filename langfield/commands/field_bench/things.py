"""Things of a scene as a field's own codes see them, so that one selection can be tried on every row."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.commands.field_bench.scene import Scene
from langfield.field.instance_build import find_instances
from langfield.field.instances import Instances
from langfield.field.lift_solve import LiftView, segments_of, sum_views
from langfield.field.types import Field
from langfield.query.image import language_of

ROWS_AT_ONCE = 2**14


@torch.no_grad()
def with_things(field: Field, scene: Scene, views: list[LiftView]) -> Field:
    """Give a field without things those that the views' segments make, with what its own codes say of them."""
    sums = sum_views(field.gaussians, views, scene.settings.lift)
    found = find_instances(
        sums, segments_of([v.vectors for v in views]), len(field.gaussians), scene.settings.instances
    )
    return replace(field, instances=replace(found, vectors=vectors_of_codes(field, found).half()))


@torch.no_grad()
def vectors_of_codes(field: Field, things: Instances) -> Float[Tensor, "I D"]:
    """Give each thing the mean of what its Gaussians' codes decode to, at the level where they agree most."""
    codes, codec = language_of(field)
    means = []
    for level in codes:
        sums = torch.zeros(len(things), codec.dim)
        for rows, owner in zip(things.rows.split(ROWS_AT_ONCE), things.owner.split(ROWS_AT_ONCE), strict=True):
            sums.index_add_(0, owner, codec.decode(level[rows.long()]).float())
        means.append(sums / things.sizes[:, None])
    stacked = torch.stack(means)
    best = stacked.norm(dim=-1).argmax(dim=0)
    return normalize(stacked[best, torch.arange(len(things))], dim=-1)
