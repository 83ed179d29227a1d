"""What the photometric fit asks of a motion; a scene that stands still is the motion that does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from langfield.field.deform import Deformation
from langfield.raster.types import Gaussians


class Motion(Protocol):
    """What Gaussians do in time while they are fitted."""

    @property
    def deformation(self) -> Deformation | None:
        """How they differ from the canonical ones as it is now, None where nothing moves."""
        ...

    def at(self, gaussians: Gaussians, time_s: float | None, step: int) -> tuple[Gaussians, Tensor]:
        """Give the Gaussians of a time, row by row, and what is added to the loss."""
        ...

    def descend(self, step: int) -> None:
        """Use the gradients that a step left."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Give all that decides how it goes on, as copies, under names that begin with `motion.`."""
        ...

    def load_state(self, state: Mapping[str, Tensor | int]) -> None:
        """Go on from what `state` gave."""
        ...


class Still:
    """Nothing moves."""

    deformation = None

    def at(self, gaussians: Gaussians, time_s: float | None, step: int) -> tuple[Gaussians, Tensor]:  # noqa: ARG002
        """Give the Gaussians as they are."""
        return gaussians, gaussians.means.new_zeros(())

    def descend(self, step: int) -> None:
        """Do nothing."""

    def state(self) -> dict[str, Tensor]:
        """Give nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor | int]) -> None:
        """Do nothing."""


STILL = Still()
