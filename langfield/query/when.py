"""When something is so: from a question's scores at times to intervals with confidence, or the answer "never".

4D LangSplat (2503.10437) smooths scores and takes what lies above their mean over the video, so that every question is
answered with some part of it, also about states that never occur. Here scores are cut where they fall into two groups,
and how far the groups lie apart is held against what other sentences reach at the same thing by chance (as
`query.calibrate` does for places): a question that rises no further than they do is answered with "never".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from langfield.artefacts import plain
from langfield.errors import QueryError

Verdict = Literal["found", "unsure", "never"]
PAPER_WEIGHTS = (0.1, 0.8, 0.1)
"""4D LangSplat's smoothing; its other one is 0.1 0.2 0.4 0.2 0.1."""


@dataclass(frozen=True)
class WhenSettings:
    """How scores become intervals."""

    rule: Literal["calibrated", "mean"] = "calibrated"
    """mean: 4D LangSplat's, which never says never."""
    weights: tuple[float, ...] = (0.1, 0.2, 0.4, 0.2, 0.1)
    """Of neighbouring times, the middle one's in the middle; an odd number of them."""
    least_times: int = 2
    """Intervals, and gaps between them, of fewer times are taken for noise."""
    found_from: float = 0.9
    """Chance, of something that is never so to do worse, from which a state is found."""
    unsure_from: float = 0.7
    """And from which that is open; below it the answer is never."""
    least_rise: float = 0.02
    """Groups of scores that lie no further apart than this are one group."""


@dataclass(frozen=True)
class Interval:
    """A stretch of time, first and last time at which it is so."""

    first_s: float
    last_s: float
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class When:
    """The answer to "when"."""

    verdict: Verdict
    score: float
    """0 to 1: share of things that are never so which would fit less well."""
    intervals: tuple[Interval, ...]
    active: Bool[np.ndarray, " T"]
    """At each time, whether it is so."""
    threshold: float
    """Of the smoothed scores."""
    note: str
    """Why, in words."""

    def to_json(self) -> dict[str, Any]:
        """Give plain data."""
        return plain(self)


def when(
    times_s: Float[np.ndarray, " T"],
    scores: Float[np.ndarray, " T"],
    others: Float[np.ndarray, "V T"] | None = None,
    settings: WhenSettings | None = None,
) -> When:
    """Tell when a question's scores say that it is so.

    Args:
        times_s: rising, seconds.
        scores: cosine of the question with one thing at each time; nan where it was not seen.
        others: cosines of V sentences about something else with the same thing; without them only scores that hardly
            change are answered with never.
        settings: how.

    Raises:
        QueryError: sizes do not fit, times do not rise, nothing was seen, or a setting lies outside its range.
    """
    s = settings or WhenSettings()
    seen = _checked(times_s, scores, others, s)
    curve = smooth(_filled(scores, seen), s.weights)
    if s.rule == "mean":
        threshold = float(curve.mean())
        return _answer(times_s, curve, threshold, (curve > threshold) & seen, ("found", 1.0, "above the video's mean"))
    other = np.stack([smooth(_filled(o, seen), s.weights) for o in others]) if others is not None else None
    threshold, _, rise = split(curve)
    judged = judge(curve, other, s)
    if judged[0] == "never":
        return _answer(times_s, curve, threshold, np.zeros(len(curve), bool), judged)
    always = rise < s.least_rise
    active = seen if always else steady(curve > threshold, s.least_times) & seen
    return _answer(times_s, curve, threshold, active, judged)


def best_split(times_s: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"], settings: WhenSettings) -> When:
    """Give the times of the higher group of scores however little the groups differ, as unsure.

    Args:
        times_s: rising, seconds.
        scores: as `when` takes them.
        settings: how; its thresholds do not count.

    Raises:
        QueryError: see `when`.
    """
    seen = _checked(times_s, scores, None, settings)
    curve = smooth(_filled(scores, seen), settings.weights)
    threshold, explained, _ = split(curve)
    active = steady(curve > threshold, settings.least_times) & seen
    return _answer(times_s, curve, threshold, active, ("unsure", explained, "its scores hardly change"))


def smooth(scores: Float[np.ndarray, " T"], weights: tuple[float, ...]) -> Float[np.ndarray, " T"]:
    """Give weighted means of neighbours in time; at the ends only those that are there count."""
    if len(weights) == 1:
        return scores.astype(float)
    kernel, ones = np.asarray(weights, float), np.ones(len(scores))
    padded = [np.pad(np.asarray(v, float), len(weights) // 2) for v in (scores, ones)]
    total, share = (np.convolve(v, kernel[::-1], mode="valid") for v in padded)
    return total / share


def split(scores: Float[np.ndarray, " T"]) -> tuple[float, float, float]:
    """Cut scores into a low and a high group so that they lie closest to their groups' means (Otsu 1979).

    Returns:
        The threshold halfway between the two groups' means, the share of the variance that the cut explains, and how
        far the means lie apart; 0 and 0 where all scores are equal.
    """
    rising = np.sort(scores)
    n, total = len(rising), rising.sum()
    below = np.arange(1, n)
    low = np.cumsum(rising)[:-1] / below if n > 1 else np.zeros(0)
    high = (total - low * below) / (n - below) if n > 1 else np.zeros(0)
    between = below * (n - below) / n**2 * (high - low) ** 2
    if not len(between) or rising[-1] - rising[0] < 1e-12:
        return float(rising[0]), 0.0, 0.0
    best = int(between.argmax())
    share = between[best] / max(float(rising.var()), 1e-30)
    return float(low[best] + high[best]) / 2, float(share), float(high[best] - low[best])


def steady(active: Bool[np.ndarray, " T"], least: int) -> Bool[np.ndarray, " T"]:
    """Close gaps and drop stretches of fewer than `least` times, the shortest first; the ends' stretches count too."""
    active = active.copy()
    while True:
        stretches = runs(active)
        short = [(last - first, first, last) for first, last, _ in stretches if last - first < least]
        if not short or len(stretches) == 1:
            return active
        _, first, last = min(short)
        active[first:last] = ~active[first:last]


def runs(active: Bool[np.ndarray, " T"]) -> list[tuple[int, int, bool]]:
    """Give stretches of equal values: first row, row after the last, value."""
    edges = [0, *(np.flatnonzero(np.diff(active)) + 1).tolist(), len(active)]
    return [(a, b, bool(active[a])) for a, b in pairwise(edges)]


def judge(
    curve: Float[np.ndarray, " T"], others: Float[np.ndarray, "V T"] | None, settings: WhenSettings
) -> tuple[Verdict, float, str]:
    """Tell whether something is so at all: by how far its scores rise, or by how high they are throughout.

    Args:
        curve: smoothed scores.
        others: smoothed scores of other sentences.
        settings: how.
    """
    _, explained, rise = split(curve)
    if others is None or len(others) < 2:
        if rise >= settings.least_rise:
            return "found", explained, "its scores fall into two groups; there was nothing to compare them with"
        return "never", 0.0, "its scores hardly change, and there was nothing to compare them with"
    rises = np.array([split(o)[2] for o in others])
    by_rise = share_below(rise, rises) if rise >= settings.least_rise else 0.0
    by_level = share_below(float(np.median(curve)), np.median(others, axis=1))
    level_only = rise < settings.least_rise
    score = by_level if level_only else by_rise
    what = "its scores are higher throughout" if level_only else "its scores rise further"
    note = f"{what} than those of {math.floor(100 * score)} % of sentences about something else"
    if score >= settings.found_from:
        return "found", score, note
    return ("unsure" if score >= settings.unsure_from else "never"), score, note


def share_below(value: float, others: Float[np.ndarray, " V"]) -> float:
    """Give the share of a population below a value: normal, with the others' median and the width of their lower half.

    The lower half, because some of the others may be true and lie far up.
    """
    median, low = np.quantile(others, (0.5, 0.16))
    return 0.5 * (1 + math.erf((value - median) / max(float(median - low), 1e-3) / math.sqrt(2)))


def _answer(
    times_s: Float[np.ndarray, " T"],
    curve: Float[np.ndarray, " T"],
    threshold: float,
    active: Bool[np.ndarray, " T"],
    judged: tuple[Verdict, float, str],
) -> When:
    verdict, score, note = judged
    reach = float(curve[active].mean()) - threshold if active.any() else 0.0
    found = [
        Interval(
            float(times_s[a]), float(times_s[b - 1]), score * _certainty(float(curve[a:b].mean()) - threshold, reach)
        )
        for a, b, on in runs(active)
        if on
    ]
    return When(verdict, score, tuple(found), active, threshold, note)


def _certainty(margin: float, reach: float) -> float:
    """Give 1 where a stretch lies as high above the threshold as all of them on average, 0.5 at the threshold."""
    return 1.0 if margin >= reach else min(max(0.5 + 0.5 * margin / max(reach, 1e-9), 0.0), 1.0)


def _filled(scores: Float[np.ndarray, " T"], seen: Bool[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Give scores with times at which nothing was seen filled in between their neighbours."""
    at = np.arange(len(scores))
    return np.interp(at, at[seen], scores[seen])


def _checked(times_s: Any, scores: Any, others: Any, s: WhenSettings) -> Bool[np.ndarray, " T"]:
    """Give at which times there is a score."""
    if len(times_s) != len(scores) or scores.ndim != 1 or (others is not None and others.shape[1:] != scores.shape):
        found = f"{len(times_s)} times, scores {scores.shape}, others {None if others is None else others.shape}"
        raise QueryError("times and scores do not fit", found)
    if s.rule not in ("calibrated", "mean") or len(s.weights) % 2 == 0 or min(s.weights) < 0 or max(s.weights) <= 0:
        raise QueryError("the rule is calibrated or mean, and an odd number of positive weights smooths", s)
    seen = np.isfinite(scores)
    if others is not None:
        seen &= np.isfinite(others).all(axis=0)
    if not seen.any() or bool((np.diff(times_s) <= 0).any()):
        raise QueryError("times do not rise, or the thing was seen at none of them", f"{len(times_s)} times")
    return seen
