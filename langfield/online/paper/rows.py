"""What language learns per Gaussian: a code, and a rotation, scale and opacity of its own; Adam row by row."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from langfield.errors import FormatError
from langfield.field.types import LanguageShape
from langfield.online.types import MapChange
from langfield.raster import Gaussians

BETAS, EPS = (0.9, 0.999), 1e-15
NAMES = ("codes", "quats", "log_scales", "logit_opacities")
NOTHING = -20.0
"""Log scale and opacity logit of rows whose Gaussian has not been looked at: they draw nothing."""


class LanguageRows:
    """N rows; those that came since the last look take over their Gaussian's shape at the next.

    Args:
        width: numbers of a code.
        rates: Adam's learning rates by name; a rate of 0 leaves a tensor as it is.
    """

    def __init__(self, width: int, rates: Mapping[str, float]) -> None:
        self.rates = dict(rates)
        columns = {"codes": width, "quats": 4, "log_scales": 3, "logit_opacities": 1}
        self.values = {name: torch.zeros(0, n) for name, n in columns.items()}
        self.first = {name: t.clone() for name, t in self.values.items()}
        self.second = {name: t.clone() for name, t in self.values.items()}
        self.steps = torch.zeros(0)
        self.settled = torch.zeros(0, dtype=torch.bool)
        """Whether a row has its Gaussian's shape yet."""

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def shape(self) -> LanguageShape:
        """Rotation, scale and opacity."""
        v = self.values
        return LanguageShape(v["quats"], v["log_scales"], v["logit_opacities"][:, 0])

    def reindex(self, change: MapChange) -> None:
        """Keep and add rows as the map did.

        Raises:
            FormatError: the change names rows that are not there.
        """
        kept = change.kept
        if len(kept) and (int(kept.max()) >= len(self) or int(kept.min()) < 0):
            raise FormatError(f"a change keeps row {int(kept.max())} of {len(self)}", "language map")
        for table in (self.values, self.first, self.second):
            for name, t in table.items():
                table[name] = torch.cat([t[kept], t.new_zeros(change.added, t.shape[1])])
        self.values["quats"][len(kept) :, 0] = 1.0
        for name in NAMES[2:]:
            self.values[name][len(kept) :] = NOTHING
        self.steps = torch.cat([self.steps[kept], self.steps.new_zeros(change.added)])
        self.settled = torch.cat([self.settled[kept], self.settled.new_zeros(change.added)])

    def settle(self, gaussians: Gaussians) -> None:
        """Give rows that have no shape yet that of their Gaussian.

        Raises:
            FormatError: the map has another number of rows.
        """
        if len(gaussians) != len(self):
            raise FormatError(f"the map has {len(gaussians)} rows, language knows {len(self)}", "language map")
        new = ~self.settled
        g = gaussians.detach()
        shapes = (g.quats, g.log_scales, g.logit_opacities[:, None])
        for name, t in zip(NAMES[1:], shapes, strict=True):
            self.values[name][new] = t[new].to(self.values[name])
        self.settled = torch.ones_like(self.settled)

    def leaves(self) -> dict[str, Tensor]:
        """Give copies that gradients can be asked of."""
        return {name: t.clone().requires_grad_(self.rates[name] > 0) for name, t in self.values.items()}

    def learn(self, grads: Mapping[str, Tensor | None]) -> None:
        """Take one step of Adam; rows without any gradient stay, and age not.

        Args:
            grads: by name, of the shapes of `values`; None where there is none.
        """
        known = {name: g for name, g in grads.items() if g is not None and self.rates[name] > 0}
        if not known:
            return
        at = torch.stack([(g != 0).any(dim=1) for g in known.values()]).any(dim=0).nonzero()[:, 0]
        steps = self.steps[at] + 1
        self.steps[at] = steps
        for name, grad in known.items():
            g = grad[at]
            first = self.first[name][at].lerp(g, 1 - BETAS[0])
            second = self.second[name][at].mul(BETAS[1]).addcmul(g, g, value=1 - BETAS[1])
            size = (second / (1 - BETAS[1] ** steps)[:, None]).sqrt() + EPS
            step = first / (1 - BETAS[0] ** steps)[:, None] / size
            self.values[name][at] -= self.rates[name] * step
            self.first[name][at], self.second[name][at] = first, second

    def state(self) -> dict[str, Tensor]:
        """Give all that decides how learning goes on, as copies."""
        tables = (("values", self.values), ("first", self.first), ("second", self.second))
        tensors = {f"{table}.{name}": t.clone() for table, rows in tables for name, t in rows.items()}
        return {**tensors, "steps": self.steps.clone(), "settled": self.settled.clone()}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state()`.

        Raises:
            FormatError: a tensor is missing or of another shape or number format.
        """
        count = len(tensors["steps"]) if "steps" in tensors and tensors["steps"].ndim == 1 else -1
        like = self.state()
        for name, old in like.items():
            found = tensors.get(name)
            if found is None or found.shape != (count, *old.shape[1:]) or found.dtype != old.dtype:
                raise FormatError("saved language rows do not fit each other", name, "start the map afresh")
        for table, rows in (("values", self.values), ("first", self.first), ("second", self.second)):
            for name in rows:
                rows[name] = tensors[f"{table}.{name}"].clone()
        self.steps, self.settled = tensors["steps"].clone(), tensors["settled"].clone()
