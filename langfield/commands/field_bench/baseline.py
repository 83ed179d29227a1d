"""LangSplat's language stage as it is published, run until it stands still: the baseline of the table.

As published (arXiv 2312.16084, Section 3; minghanqin/LangSplat, train.py): codes start at zero, Adam at a constant rate
of 0.0025, L1 on pixels that have a mask, one view a step in an order drawn per epoch. What differs makes it faster or
better: the three levels are drawn in one pass instead of three trainings; at the size our colour stage trains at, a
quarter of the pixels of a 640x480 photo; no colour is drawn beside them; targets are painted once instead of read from
disk at every step; a zero code passes its gradient on unscaled (the published division by length + 1e-9 makes the first
gradient 1e9 too long, after which Adam hardly moves for thousands of steps); and the autoencoder, of the published
layers, is fitted by the loss the paper states (`langfield.codec.autoencoder` says what the published code does).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.codec.types import Codec
from langfield.field.language import LanguageFit, LanguageSettings, latent_targets
from langfield.field.lift_solve import LiftView
from langfield.field.photometric import view_order
from langfield.progress import say
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians

PUBLISHED_STEPS = 30_000
"""Per level; one pass draws all levels here, so the extrapolation counts them once."""
PUBLISHED = LanguageSettings(steps=10**9, gather_steps=0, lr=0.0025)
"""So many steps leave the learning rate where it is."""
WINDOW = 500
STILL = 0.01
SAY_EVERY = 500


@dataclass(frozen=True)
class View:
    """One training view with the codes of its segments painted in."""

    camera: Camera
    targets: Float[Tensor, "H W L d"]
    valid: Bool[Tensor, "H W L"]


@dataclass(frozen=True)
class Converged:
    """Where the fit came to a stand."""

    codes: Float[Tensor, "L N d"]
    steps: int
    ms_per_step: float
    l1: tuple[float, ...]
    """Means over each 500 steps."""
    still: bool
    """False where the published number of steps ended it."""


def paint(views: Sequence[LiftView], codec: Codec, longest_side_px: int) -> list[View]:
    """Encode what the views say and paint it, id maps at the nearest pixel, never enlarged."""
    with torch.no_grad():
        return [_painted(v, codec, longest_side_px) for v in views]


def _painted(view: LiftView, codec: Codec, longest_side_px: int) -> View:
    scale = min(1.0, longest_side_px / max(view.camera.width, view.camera.height))
    size = max(1, round(view.camera.width * scale)), max(1, round(view.camera.height * scale))
    ids = [cv2.resize(level, size, interpolation=cv2.INTER_NEAREST) for level in view.ids.numpy()]
    targets, valid = latent_targets(torch.from_numpy(np.stack(ids)), codec.encode(view.vectors))
    return View(view.camera.resized(*size), targets, valid)


def fit_until_still(gaussians: Gaussians, views: Sequence[View], seed: int, most: int = PUBLISHED_STEPS) -> Converged:
    """Fit until the mean L1 of 500 steps is within 1 % of that of the 500 before.

    Args:
        gaussians: trained, frozen here.
        views: what to fit.
        seed: of the order of the views.
        most: steps after which it ends anyway.
    """
    levels, width = views[0].targets.shape[2:]
    fit = LanguageFit(gaussians, levels, width, PUBLISHED)

    def step(number: int) -> float:
        view = views[view_order(len(views), number, seed)]
        return fit.step(number, view.camera, view.targets, view.valid)["loss"]

    start = time.perf_counter()
    with kernels_only():
        losses, still = descend(step, most)
    seconds = time.perf_counter() - start
    means = tuple(float(np.mean(losses[i : i + WINDOW])) for i in range(0, len(losses), WINDOW))
    return Converged(fit.codes, len(losses), 1000 * seconds / len(losses), means, still)


def descend(step: Callable[[int], float], most: int) -> tuple[list[float], bool]:
    """Take steps until the loss stands still; gives the losses, and whether it did.

    Args:
        step: takes a step, given its number, and gives its loss.
        most: steps after which it ends anyway.
    """
    losses: list[float] = []
    for number in range(most):
        losses.append(step(number))
        if (number + 1) % SAY_EVERY == 0:
            say(f"LangSplat's fit: {number + 1} steps, L1 {np.mean(losses[-WINDOW:]):.4f}")
        if is_still(losses):
            return losses, True
    return losses, False


def is_still(losses: Sequence[float]) -> bool:
    """Tell whether the mean of the last 500 losses is within 1 % of the mean of the 500 before them."""
    if len(losses) < 2 * WINDOW:
        return False
    before, now = np.mean(losses[-2 * WINDOW : -WINDOW]), np.mean(losses[-WINDOW:])
    return bool(abs(now - before) <= STILL * before)
