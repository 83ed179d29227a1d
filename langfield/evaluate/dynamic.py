"""`4d-langsplat`, version 1. Where a thing is at any time, and when it is in a state (arXiv 2503.10437, section 4).

Time-agnostic: per thing the mean over its labelled frames, then the mean over things; mIoU of masks, and mAcc, the
share of pixels on which mask and label agree (the published code prints no mAcc; its table fits this reading).
Time-sensitive, as eval/eval.py does it: Acc is the share of steps told rightly active or not; vIoU is the mean, over
steps that are active in truth or in the answer, of the IoU where both are, else of 0. Ours: a state that never occurs
has no vIoU and is not part of the means (there, a silent answer gets vIoU 0); it is scored by how often it is called
active all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from langfield.errors import SettingsError
from langfield.evaluate.dynamic_labels import KINDS, StateQuery
from langfield.evaluate.langsplat2d import measure_iou

NAME, VERSION = "4d-langsplat", 1
SMOOTHING = {1: (0.1, 0.8, 0.1), 2: (0.1, 0.2, 0.4, 0.2, 0.1)}
"""The published weights over neighbouring steps, by how far they reach."""


@dataclass(frozen=True)
class MaskScore:
    """One thing in one frame."""

    frame: str
    thing: str
    iou: float
    accuracy: float
    """Share of pixels on which answer and label agree."""


@dataclass(frozen=True)
class TimeScore:
    """One question over all steps."""

    query: StateQuery
    accuracy: float
    viou: float | None
    """None where the state never occurs."""
    called_active: float
    """Share of steps the answer calls active."""

    @property
    def answered_absent(self) -> bool:
        """Tell whether the answer calls no step active."""
        return self.called_active == 0


def score_mask(frame: str, thing: str, answer: Bool[np.ndarray, "H W"], truth: Bool[np.ndarray, "H W"]) -> MaskScore:
    """Score one thing's mask in one frame."""
    return MaskScore(frame, thing, measure_iou(answer, truth), float((answer == truth).mean()))


def summarise_masks(scores: Sequence[MaskScore]) -> dict[str, float]:
    """Give mIoU and mAcc: means over things of means over their frames.

    Raises:
        SettingsError: there is nothing to take the mean of.
    """
    by_thing: dict[str, list[tuple[float, float]]] = {}
    for score in scores:
        by_thing.setdefault(score.thing, []).append((score.iou, score.accuracy))
    if not by_thing:
        raise SettingsError("no mask was scored")
    iou, accuracy = np.mean([np.mean(rows, axis=0) for rows in by_thing.values()], axis=0).tolist()
    return {"mIoU": iou, "mAcc": accuracy}


def score_time(query: StateQuery, answer: Bool[np.ndarray, " T"], iou: Float[np.ndarray, " T"]) -> TimeScore:
    """Score one question's answer over time.

    Args:
        query: what was asked, with its true intervals.
        answer: whether each step is called active.
        iou: overlap of the answer's mask and the label at each step; only read where both are active.

    Raises:
        SettingsError: not one value per step, or an interval ends after the last step.
    """
    steps = len(answer)
    if iou.shape != answer.shape or steps == 0 or any(last >= steps for _, last in query.intervals):
        raise SettingsError(f"{steps} answers and {len(iou)} overlaps do not fit the steps of '{query.text}'")
    truth = query.active(steps)
    either, both = truth | answer, truth & answer
    viou = float(np.where(both, iou, 0.0)[either].mean()) if query.occurs else None
    return TimeScore(query, float((answer == truth).mean()), viou, float(answer.mean()))


def summarise_time(scores: Sequence[TimeScore]) -> dict[str, float]:
    """Give Acc and vIoU over questions whose state occurs, all and by kind, and what is said of the others.

    `false active` is the share of steps called active, `answered absent` the share of questions answered so, both over
    questions whose state never occurs; `missed` is the share of the rest that is answered absent. What no question is
    there for is left out.
    """
    real, never = [s for s in scores if s.query.occurs], [s for s in scores if not s.query.occurs]
    out: dict[str, float] = {}
    for suffix, rows in (("", real), *((f" ({k})", [s for s in real if s.query.kind == k]) for k in KINDS)):
        if rows:
            out[f"Acc{suffix}"] = float(np.mean([s.accuracy for s in rows]))
            out[f"vIoU{suffix}"] = float(np.mean([s.viou or 0.0 for s in rows]))
    if real:
        out["missed"] = float(np.mean([s.answered_absent for s in real]))
    if never:
        out["false active"] = float(np.mean([s.called_active for s in never]))
        out["answered absent"] = float(np.mean([s.answered_absent for s in never]))
    return out


def smooth_over_time(similarity: Float[np.ndarray, " T"], reach: int = 1) -> Float[np.ndarray, " T"]:
    """Average similarities over neighbouring steps with the published weights; steps near either end stay.

    Args:
        similarity: in order of time.
        reach: 0 (nothing is done), 1 or 2 steps to either side.
    """
    out = similarity.astype(np.float64)
    if reach and len(similarity) > 2 * reach:
        out[reach:-reach] = np.convolve(similarity, SMOOTHING[reach], "valid")
    return out


def mean_rule(similarity: Float[np.ndarray, " T"], reach: int = 1) -> Bool[np.ndarray, " T"]:
    """Call a step active where its smoothed similarity reaches the mean of the unsmoothed ones: the published rule.

    It calls part of every video active, whatever is asked.
    """
    return smooth_over_time(similarity, reach) >= similarity.mean()
