"""Does a score tell what is in a scene from what is not? AUROC of labelled names against names of absent things."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata

from langfield.errors import QueryError
from langfield.evaluate.absent import ABSENT_NAMES
from langfield.evaluate.intervals import Interval
from langfield.field.types import Field
from langfield.query.gaussians import MIN_OPACITY, gaussian_relevancy
from langfield.query.image import language_of
from langfield.query.relevancy import encode_phrases
from langfield.suite.types import TextEncoder

Scoring = Callable[[Sequence[str]], Float[np.ndarray, " Q"]]
"""Gives each name a number; the higher, the surer it is that the thing is there."""
RESAMPLES = 2_000
NAMES_AT_ONCE = 16


@dataclass(frozen=True)
class AbsentReport:
    """How well a score separates present from absent names."""

    score: str
    """What the score is."""
    auroc: float
    """Chance that a present name scores higher than an absent one; 0.5 for a coin."""
    interval: Interval
    """95 %, bootstrap over names of both kinds."""
    present: Mapping[str, float]
    """By falling score."""
    absent: Mapping[str, float]
    """By falling score."""
    seed: int


def evaluate_absent(
    scoring: Scoring, score: str, present: Sequence[str], absent: Sequence[str] = ABSENT_NAMES, seed: int = 0
) -> AbsentReport:
    """Score labelled and absent names and compare.

    Args:
        scoring: gives each name a number.
        score: what to call that number.
        present: labelled names, any order; doubles count once.
        absent: names of things that are not there; one that is labelled is left out.
        seed: of the bootstrap.

    Raises:
        QueryError: there is no name of either kind, or a score is not finite.
    """
    here: list[str] = list(dict.fromkeys(present))
    away: list[str] = [name for name in dict.fromkeys(absent) if name not in set(here)]
    if not here or not away:
        raise QueryError("absent names are compared with labelled ones, and one kind is missing", score)
    values = np.asarray(scoring([*here, *away]), dtype=np.float64)
    if values.shape != (len(here) + len(away),) or not np.isfinite(values).all():
        raise QueryError("the score gave unusable numbers", score)
    high, low = values[: len(here)], values[len(here) :]
    bounds = auroc_interval(high, low, seed)
    return AbsentReport(score, auroc(high, low), bounds, _ranked(here, high), _ranked(away, low), seed)


def _ranked(names: Sequence[str], values: Float[np.ndarray, " Q"]) -> dict[str, float]:
    order: list[int] = np.argsort(-values, kind="stable").tolist()
    return {names[i]: round(float(values[i]), 4) for i in order}


def auroc(high: Float[np.ndarray, " P"], low: Float[np.ndarray, " A"]) -> float:
    """Give the share of pairs in which `high` is greater, ties counted half (Mann and Whitney 1947)."""
    ranks = rankdata(np.concatenate([high, low]))[: len(high)]
    return float((ranks.sum() - len(high) * (len(high) + 1) / 2) / (len(high) * len(low)))


def auroc_interval(high: Float[np.ndarray, " P"], low: Float[np.ndarray, " A"], seed: int = 0) -> Interval:
    """Give the 95 % percentile interval, drawing names of both kinds with replacement."""
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    draw = np.random.default_rng(seed)
    first = draw.multinomial(len(high), np.full(len(high), 1 / len(high)), size=RESAMPLES)
    second = draw.multinomial(len(low), np.full(len(low), 1 / len(low)), size=RESAMPLES)
    values = np.einsum("rp,pa,ra->r", first, wins, second, optimize=True) / (len(high) * len(low))
    bottom, top = np.quantile(values, [0.025, 0.975])
    return float(bottom), float(top)


def peak_relevancy(field: Field, encoder: TextEncoder) -> Scoring:
    """Score a name by the highest relevancy of any visible Gaussian at any level: what no calibration gives."""
    solid = torch.sigmoid(field.gaussians.logit_opacities) >= MIN_OPACITY
    dim = language_of(field)[1].dim

    def score(names: Sequence[str]) -> Float[np.ndarray, " Q"]:
        parts = [names[i : i + NAMES_AT_ONCE] for i in range(0, len(names), NAMES_AT_ONCE)]
        found = [gaussian_relevancy(field, encode_phrases(encoder, part, dim)) for part in parts]
        return torch.cat([one[..., solid].amax(dim=(1, 2)) for one in found]).double().cpu().numpy()

    return score


def as_text(report: AbsentReport, show: int = 5) -> str:
    """Give the report as a few lines for a person."""
    low, high = report.interval
    weakest = ", ".join(f"{n} {v:.3f}" for n, v in list(report.present.items())[-show:])
    surest = ", ".join(f"{n} {v:.3f}" for n, v in list(report.absent.items())[:show])
    return (
        f"absent names: {report.score} over {len(report.present)} labelled and {len(report.absent)} absent names\n"
        f"  {'AUROC':<22}{report.auroc:6.3f}   95 % over names {low:.3f} to {high:.3f}\n"
        f"  weakest labelled: {weakest}\n  surest absent: {surest}"
    )
