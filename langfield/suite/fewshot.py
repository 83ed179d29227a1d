"""What methods that learn from examples share: which column an example belongs to, columns of cosines, the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import NONE_OF_THESE, FewShotTask

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

CLIP_SCALE = 100.0


def scale_of(model: ClipModel | None) -> float:
    """Give what cosines are multiplied by: the model's own, or 100, CLIP's, without a model."""
    return CLIP_SCALE if model is None else model.logit_scale


def needed(model: ClipModel | None, method: str) -> ClipModel:
    """Give the model.

    Raises:
        SettingsError: there is none.
    """
    if model is None:
        raise SettingsError(f"{method} needs a model", remedy="give the CLIP of the field")
    return model


def targets(task: FewShotTask) -> Int64[Tensor, " M"]:
    """Give the column of `columns` that each example belongs to.

    Raises:
        SettingsError: there is no example, or nothing to hold names against.
    """
    if len(task.labels) == 0:
        raise SettingsError("there is no example to learn from", remedy="click at least one thing")
    alone = len(task.names) == 1 or bool((task.labels == NONE_OF_THESE).any())
    if alone and len(task.negatives) == 0:
        raise SettingsError("names need something they are held against", remedy="name negatives")
    return torch.where(task.labels == NONE_OF_THESE, len(task.names), task.labels)


def columns(
    vectors: Float[Tensor, "B D"], names: Float[Tensor, "C D"], negatives: Float[Tensor, "K D"]
) -> Float[Tensor, "B E"]:
    """Give cosines with the names and, where there are negatives, with the nearest of them as a last column."""
    found = vectors @ names.T
    if len(negatives) == 0:
        return found
    return torch.cat([found, (vectors @ negatives.T).amax(dim=1, keepdim=True)], dim=1)


def examples_head(
    task: FewShotTask, names: Float[Tensor, "C D"], scale: float, about: tuple[tuple[str, str], ...]
) -> Head:
    """Give the head of one row a name, held against each other and the negatives.

    Args:
        task: what was learnt from.
        names: what was learnt for each name.
        scale: what products are multiplied by.
        about: the method first.
    """
    weight = torch.cat([names.float(), task.negatives.float()])
    rows = (*range(len(task.names)), *(AGAINST,) * len(task.negatives))
    told = (*about, ("examples", str(len(task.labels))))
    return Head(task.names, weight, torch.zeros(len(weight)), rows, scale, rivals=True, about=told)
