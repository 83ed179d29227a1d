"""Texts of 248 tokens instead of 77: only the positions that were hardly trained are stretched.

Long-CLIP: Unlocking the Long-Text Capability of CLIP (arXiv 2403.15378, Section 3.2): the first 20 positions, which
nearly all captions of the training set reach, stay; the others are stretched four times by linear interpolation, and
the last step is continued beyond the end. A text that fits into the first 20 tokens keeps its vector to the bit. Unlike
"+context:248", which stretches all positions, short questions change nothing, so fields and negatives stay valid.

What the paper trains on top is `long_loss`: a picture fits its long caption whole, and by its main components its short
one (`langfield suite train long-clip`, `suite.tuning`). Published weights are not read; untrained, what follows the
77th token is seen but hardly understood.

Ours: where a tower has another number of positions the kept share is the same, 20 of 77. The text tower alone is
trained, so that vectors of pictures, and fields, stay valid; the paper trains both. Kept positions do not move.

Cost: none to apply; attention of texts costs with the square of their length. Trained, two texts a picture and step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.model import ClipModel
from langfield.suite.objectives import contrastive, primary_component
from langfield.suite.surgery import Change, resize_context

NEEDS = ("model",)
KEPT, OF = 20, 77


@dataclass(frozen=True)
class Settings:
    """How far texts are stretched."""

    factor: int = 4
    """Positions made of each that is stretched."""
    keep: int | None = None
    """Positions that stay; None for 20 of 77."""


def modify(model: ClipModel, settings: Settings = Settings()) -> Change:
    """Stretch the positions of a model's text tower.

    Args:
        model: with a text tower that can be taken apart.
        settings: see above.

    Raises:
        SettingsError: there is no such tower, or the settings do not fit it.
    """
    now: Tensor = model.text.positional_embedding.detach()
    keep = kept(settings, len(now))
    if settings.factor < 1 or not 0 <= keep <= len(now) - 2:
        raise SettingsError(f"keep 0 to {len(now) - 2} positions and stretch the others", f"{settings}")
    return resize_context(model, stretch(now, keep, settings.factor))


def kept(settings: Settings, length: int) -> int:
    """Give how many of a tower's positions stay."""
    return round(KEPT / OF * length) if settings.keep is None else settings.keep


def stretch(positions: Float[Tensor, "L C"], keep: int, factor: int) -> Float[Tensor, "M C"]:
    """Keep the first positions and put `factor` in the place of each other one, on straight lines between them.

    Args:
        positions: the positional embedding.
        keep: how many stay.
        factor: how many take the place of one.

    Returns:
        M = keep + factor (L - keep) rows; row keep + factor i is row keep + i of the old ones.
    """
    tail = positions[keep:]
    beyond = torch.cat([tail, 2 * tail[-1:] - tail[-2:-1]])  # the last step once more
    share = (torch.arange(factor, device=positions.device) / factor).to(positions)[None, :, None]
    lines = beyond[:-1, None] * (1 - share) + beyond[1:, None] * share
    return torch.cat([positions[:keep], lines.flatten(0, 1)])


def long_loss(
    images: Float[Tensor, "B D"],
    longs: Float[Tensor, "B D"],
    shorts: Float[Tensor, "B D"],
    scale: float | Tensor,
    rank: int = 32,
) -> dict[str, Float[Tensor, ""]]:
    """Give the paper's loss: whole pictures and long texts, main components of pictures and short texts (Section 3.3).

    Args:
        images: unit vectors of a batch.
        longs: of their long captions.
        shorts: of their short ones.
        scale: what cosines are multiplied by.
        rank: main components that are kept.
    """
    coarse = primary_component(images, rank)
    return {
        "long": contrastive(images, longs, scale, smoothing=0.1),
        "short": contrastive(coarse, shorts, scale, smoothing=0.1),
    }


def first_sentence(text: str) -> str:
    """Give the short caption that a long one begins with."""
    head, dot, _ = text.partition(". ")
    return head + dot.strip()
