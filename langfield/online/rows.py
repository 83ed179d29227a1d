"""Gaussians as rows of one matrix that learn: what Adam knows of a row stays with it while others come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from langfield.errors import FormatError
from langfield.raster import Gaussians

BETAS = (0.9, 0.999)
EPS = 1e-15
COLUMNS = (3, 4, 3, 1)
"""Numbers of means, quats, log_scales and logit_opacities in a row; harmonics follow."""
PARTS = ("values", "first", "second", "steps")


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates."""

    means: float
    """World units a step."""
    quats: float = 1e-3
    log_scales: float = 5e-3
    logit_opacities: float = 2.5e-2
    sh: float = 2.5e-3


class Rows:
    """N Gaussians with Adam's moments and step counts (Kingma & Ba 2015), row by row.

    Only rows that a step names are touched, so that what is out of sight neither drifts nor costs.
    """

    def __init__(self, harmonics: int, rates: Rates, device: torch.device) -> None:
        """Start empty, with `harmonics` coefficients of three colours a row."""
        width = sum(COLUMNS) + 3 * harmonics
        self._parts = [torch.zeros((0, width), device=device) for _ in range(3)]
        self._steps = torch.zeros(0, device=device)
        per = (rates.means, rates.quats, rates.log_scales, rates.logit_opacities)
        numbers = [r for r, n in zip(per, COLUMNS, strict=True) for _ in range(n)] + [rates.sh] * (3 * harmonics)
        self._rates = torch.tensor(numbers, device=device)
        self._shown: Gaussians | None = None

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def age(self) -> Float[Tensor, " N"]:
        """How often each row has learned."""
        return self._steps

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now, as copies; nobody else may write into them."""
        if self._shown is None:
            self._shown = _split(self._parts[0])
        return self._shown

    def leaves(self) -> Gaussians:
        """Give copies that gradients can be asked of."""
        return Gaussians(*(t.requires_grad_() for t in _split(self._parts[0]).tensors()))

    def add(self, new: Gaussians) -> None:
        """Put rows after the last, without moments."""
        self._shown = None
        values = _joined(new.tensors()).to(self._parts[0])
        self._parts = [
            torch.cat([self._parts[0], values]),
            *(torch.cat([m, torch.zeros_like(values)]) for m in self._parts[1:]),
        ]
        self._steps = torch.cat([self._steps, self._steps.new_zeros(len(values))])

    def keep(self, rows: Int64[Tensor, " K"]) -> None:
        """Keep these rows, in this order."""
        self._shown = None
        self._parts = [part[rows] for part in self._parts]
        self._steps = self._steps[rows]

    def learn(self, grads: Sequence[Tensor], rows: Bool[Tensor, " N"]) -> None:
        """Take one step of Adam.

        Args:
            grads: by the five tensors of `leaves`.
            rows: which rows learn.
        """
        self._shown = None
        at = rows.nonzero()[:, 0]
        g = _joined([grad[at] for grad in grads])
        values, first, second = (part[at] for part in self._parts)
        steps = self._steps[at] + 1
        first.lerp_(g, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(g, g, value=1 - BETAS[1])
        size = (second / (1 - BETAS[1] ** steps)[:, None]).sqrt_().add_(EPS)
        values -= self._rates * (first / (1 - BETAS[0] ** steps)[:, None]) / size
        for part, part_rows in zip(self._parts, (values, first, second), strict=True):
            part[at] = part_rows
        self._steps[at] = steps

    def state(self) -> dict[str, Tensor]:
        """Give all that decides how learning goes on, as copies."""
        return {name: t.clone() for name, t in zip(PARTS, (*self._parts, self._steps), strict=True)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave.

        Raises:
            FormatError: something is missing from it or has the wrong shape.
        """
        width, n = self._parts[0].shape[1], len(state["steps"]) if "steps" in state else 0
        for name in PARTS:
            wanted = (n,) if name == "steps" else (n, width)
            if name not in state or tuple(state[name].shape) != wanted:
                found = list(state[name].shape) if name in state else "missing"
                raise FormatError(f"the state of the map lacks {name} of shape {list(wanted)}", f"{name} {found}")
        self._shown, like = None, self._parts[0]
        self._parts = [state[name].to(like, copy=True) for name in PARTS[:3]]
        self._steps = state["steps"].to(like, copy=True)


def _split(values: Tensor) -> Gaussians:
    means, quats, scales, opacities, sh = values.split([*COLUMNS, values.shape[1] - sum(COLUMNS)], 1)
    colours = sh.unflatten(1, (-1, 3)).clone()
    return Gaussians(means.clone(), quats.clone(), scales.clone(), opacities[:, 0].clone(), colours)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.reshape(len(t), -1) for t in parts], 1)
