"""How Online Language Splatting's language map is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from langfield.codec.two_stage_fit import StageTwoSettings
from langfield.errors import SettingsError


@dataclass(frozen=True)
class PaperSettings:
    """Rates and weights as published where they are known; steps suit two cores."""

    variant: Literal["disentangled", "joint"] = "disentangled"
    """disentangled: language has its own rotation, scale and opacity, and moves nothing else; joint: it is drawn with
    colour's, and its gradient flows to them, to centres and to poses (what the paper compares with)."""
    stale_codes: bool = True
    """Keep each keyframe's codes as they were made, though the second autoencoder has moved on since: as published.
    False makes them anew whenever the keyframe is drawn."""
    steps: int = 20
    """Steps per keyframe: in turn on it and on a random earlier one (the paper: 150, with colour's)."""
    lr_codes: float = 2.5e-3
    """Adam's learning rates; of codes as published."""
    lr_quats: float = 1e-3
    lr_log_scales: float = 5e-3
    lr_logit_opacities: float = 2.5e-2
    tie: float = 0.1
    """Weight of what keeps language's scales near colour's."""
    joint_weight: float = 0.5
    """Weight of the language loss beside colour's, in variant joint."""
    stage_two: StageTwoSettings = field(default_factory=StageTwoSettings)
    """The second autoencoder."""
    seed: int = 0
    """Draws the earlier keyframes."""

    def rates(self) -> dict[str, float]:
        """Give the learning rate of each kind of number; joint has only codes of its own."""
        own = {"quats": self.lr_quats, "log_scales": self.lr_log_scales, "logit_opacities": self.lr_logit_opacities}
        joint = self.variant == "joint"
        return {"codes": self.lr_codes, **{name: 0.0 if joint else rate for name, rate in own.items()}}


def check_paper_settings(settings: PaperSettings) -> None:
    """Refuse settings out of range.

    Raises:
        SettingsError: one is.
    """
    numbers = (*settings.rates().values(), settings.tie, settings.joint_weight)
    known = settings.variant in ("disentangled", "joint")
    if not known or settings.steps < 0 or min(numbers) < 0 or not settings.lr_codes > 0:
        raise SettingsError("online-langsplat needs a known variant, steps >= 0 and rates >= 0", settings)
