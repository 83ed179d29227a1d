"""The things of a scene by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.calibrate import Calibrator


@dataclass(frozen=True)
class Named:
    """One thing of a scene."""

    instance: int
    """Its number in `Field.instances`."""
    name: str
    """The name of the vocabulary that fits it best."""
    score: float
    """Share of names of absent things that would fit nothing in the scene as well, 0 to 1."""
    gaussians: int
    views: int
    """How many views show it."""
    centre: tuple[float, float, float]
    """Median of its Gaussians, world units."""
    box: tuple[tuple[float, float, float], tuple[float, float, float]]
    """Lower and upper corner around nearly all of them (2 to 98 %), world units."""


def name_instances(field: Field, calibrator: Calibrator) -> list[Named]:
    """Name every instance, the surest first.

    Args:
        field: one with instances.
        calibrator: made of this field and the vocabulary to name with.

    Raises:
        QueryError: the field has no instances.
    """
    found = field.instances
    if found is None:
        raise QueryError("this field has no instances", remedy="train it with language mode lift")
    means = field.gaussians.means.detach().cpu().double().numpy()
    named = []
    for i, (name, score) in enumerate(calibrator.name(normalize(found.vectors.float(), dim=-1))):
        own = means[found.gaussians(i).numpy()]
        if len(own):
            low, middle, high = np.quantile(own, [0.02, 0.5, 0.98], axis=0).tolist()
            named.append(Named(i, name, score, len(own), int(found.views[i]), tuple(middle), (tuple(low), tuple(high))))
    return sorted(named, key=lambda one: -one.score)
