"""Gaussians as the page shows them, for whatever points at the page: moved where they were, gone where they are."""

from __future__ import annotations

from dataclasses import replace

import torch

from langfield.raster.types import Gaussians
from langfield.viewer.session import Edits

GONE_LOGIT = -30.0
"""Logit of an opacity that no picture shows."""


def as_shown(gaussians: Gaussians, edits: Edits) -> Gaussians:
    """Give the same Gaussians, row by row, with moves applied and those hidden or deleted transparent.

    Args:
        gaussians: as they are at the time that is shown.
        edits: what was done to the scene; colours are left alone.
    """
    if not edits:
        return gaussians
    means, logits = gaussians.means.detach(), gaussians.logit_opacities.detach().clone()
    for rows in (edits.hidden, edits.deleted):
        logits[torch.from_numpy(rows.copy())] = GONE_LOGIT
    moved = means + torch.from_numpy(edits.offsets(len(means))).to(means) if edits.moves else means
    return replace(gaussians.detach(), means=moved, logit_opacities=logits)
