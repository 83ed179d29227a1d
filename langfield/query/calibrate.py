"""Whether a thing is there at all: how a question fares in a scene beside hundreds of common names.

Some place always fits best, whether or not the thing is there, and how well differs from scene to scene. So at every
place the question's cosine is measured in standard deviations of what common names reach at the same place, and its
best fit is held against the best fits of all those names. Most of them are not in the scene: their median and the width
of the lower half, which the few that are there cannot stretch, say how well an absent thing fits by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.field.types import Field
from langfield.query.image import language_of, vectors_of
from langfield.query.relevancy import NEUTRAL, Phrases, encode_phrases
from langfield.query.vocabulary import Vocabulary, encode_vocabulary
from langfield.suite.types import TextEncoder

Verdict = Literal["found", "unsure", "not in this scene"]
FOUND_FROM, UNSURE_FROM = 0.9, 0.7
"""Scores of the verdicts: of things that are not there one in ten is called found, two in ten unsure."""
MOST_PLACES = 1500
"""Gaussians looked at per level."""
MIN_OPACITY = 0.3
REMOTE = 0.25
"""Places further apart than this share of the scene show different things."""
LEAST_SPREAD = 1e-3


@dataclass(frozen=True)
class Judgement:
    """How surely something is in a scene."""

    score: float
    """0 to 1: share of things that are not there which would fit less well; 1 is surely there."""
    verdict: Verdict
    note: str
    """Why, in words."""
    called: str
    """The common name that fits the best place best."""


@dataclass(frozen=True)
class Places:
    """What a scene shows: Gaussians spread over it."""

    vectors: Float[Tensor, "U D"]
    """Unit vectors."""
    centres: Float[Tensor, "U 3"]
    """World units."""

    @property
    def average(self) -> Float[Tensor, " D"]:
        """The average direction; zero where there is nothing."""
        return normalize(self.vectors.sum(dim=0), dim=0)


def deviations(vectors: Float[Tensor, "Q D"], average: Float[Tensor, " D"]) -> Float[Tensor, "Q D"]:
    """Give what sets unit vectors apart from an average direction, as unit vectors; one along it stays as it is."""
    apart = vectors - (vectors @ average)[:, None] * average
    return torch.where(apart.norm(dim=1, keepdim=True) > LEAST_SPREAD, normalize(apart, dim=1), vectors)


@dataclass(frozen=True)
class Norm:
    """What is usual at each place, and in the whole scene."""

    mean: Float[Tensor, " U"]
    spread: Float[Tensor, " U"]
    """Standard deviation of cosines at a place."""
    chance: float
    """Best fit, in standard deviations, of half of what is not there."""
    width: float
    """Standard deviation of such best fits."""

    def share_below(self, fit: float) -> float:
        """Give the share of things that are not there whose best fit is worse."""
        return 0.5 * (1 + math.erf((fit - self.chance) / self.width / math.sqrt(2)))


class Calibrator:
    """Judges questions to one field; what costs once per field is made once.

    Args:
        field: one with a language part.
        vocabulary: common names, encoded by the text encoder of the questions.

    Raises:
        QueryError: the field has no language part.
    """

    def __init__(self, field: Field, vocabulary: Vocabulary) -> None:
        self._places, self._things, self._vocabulary = places_of(field), _things_of(field), vocabulary
        self._cosines = vocabulary.vectors @ self._places.vectors.T  # V U
        self._text = norm_of_names(self._cosines)
        self._image: Norm | None = None

    def judge(self, phrases: Phrases) -> list[Judgement]:
        """Judge every row of a question; what was taught from examples by its own relevancy."""
        norm, shown = self._norm(phrases), self._places.vectors
        if phrases.space == "taught":
            return [_taught(phrases, i, best) for i, best in enumerate(_most(phrases.scores(shown)))]
        cosines = phrases.positives @ shown.T  # P U
        deviation = (cosines - norm.mean) / norm.spread
        if phrases.head is None:
            beaten = cosines > (phrases.canonicals @ shown.T).amax(dim=0)
            fits = phrases.join(torch.where(beaten, deviation, -math.inf))
            chances = torch.bincount(torch.tensor(phrases.rows or range(len(phrases)))).tolist()
        else:  # the rows of a name are forms of one question, not chances to be right
            beaten = phrases.head.margins_of(shown @ phrases.head.weight.T).T > 0
            fits, chances = torch.where(beaten, phrases.join(deviation), -math.inf), [1] * len(phrases)
        return [
            self._judge(phrases, i, norm.share_below(float(fit.max())) ** chances[i], int(fit.argmax()))
            if fit.isfinite().any()
            else _nowhere(phrases, i)
            for i, fit in enumerate(fits)
        ]

    def _norm(self, phrases: Phrases) -> Norm:
        if phrases.space == "text":
            return self._text
        self._image = self._image or norm_of_sights(self._places, self._things or self._places)
        return self._image

    def _judge(self, phrases: Phrases, row: int, score: float, place: int) -> Judgement:
        return _judged(phrases.texts[row], score, self._vocabulary.names[int(self._cosines[:, place].argmax())])


def presence(field: Field, encoder: TextEncoder, texts: Sequence[str]) -> Float[np.ndarray, " Q"]:
    """Give the calibrated score of texts, 0 to 1.

    Args:
        field: one with a language part.
        encoder: the text encoder that goes with its image encoder.
        texts: what may or may not be there.

    Raises:
        QueryError: a text cannot be asked, or encoder and field do not fit.
    """
    dim = language_of(field)[1].dim
    judged = Calibrator(field, encode_vocabulary(encoder, dim)).judge(encode_phrases(encoder, texts, dim))
    return np.array([one.score for one in judged])


@torch.no_grad()
def places_of(field: Field) -> Places:
    """Give solid Gaussians of all levels, the same whatever order they are stored in.

    Not instances: on fr3_office they tell absent names less well (AUROC 0.83 against 0.89), as many are seen once.

    Raises:
        QueryError: the field has no language part.
    """
    codes, codec = language_of(field)
    means = field.gaussians.means.detach().float().cpu()
    solid = torch.sigmoid(field.gaussians.logit_opacities.detach().cpu()) >= MIN_OPACITY
    vectors, centres = [], []
    by_place = _by_place(means, torch.nonzero(solid)[:, 0])
    for level in codes:
        rows = _spread(by_place[(level != 0).any(dim=-1).cpu()[by_place]])
        vectors.append(vectors_of(level[rows], codec))
        centres.append(means[rows])
    return Places(torch.cat(vectors), torch.cat(centres))


def _by_place(means: Float[Tensor, "N 3"], rows: Int64[Tensor, " S"]) -> Int64[Tensor, " S"]:
    """Sort rows by where they are: the same whatever order Gaussians are stored in."""
    return rows[torch.from_numpy(np.lexsort(means[rows].numpy().T))]


def _spread(rows: Int64[Tensor, " S"]) -> Int64[Tensor, " P"]:
    """Choose at most MOST_PLACES, evenly."""
    return rows[torch.from_numpy(np.linspace(0, len(rows) - 1, min(MOST_PLACES, len(rows))).round().astype(int))]


def norm_of_names(cosines: Float[Tensor, "V U"]) -> Norm:
    """Give what common names reach: at each place, and at their best place."""
    if cosines.shape[1] == 0:
        return Norm(cosines.new_zeros(0), cosines.new_ones(0), 0.0, LEAST_SPREAD)
    mean, spread = cosines.mean(dim=0), cosines.std(dim=0).clamp_min(LEAST_SPREAD)
    return Norm(mean, spread, *_lower_half(((cosines - mean) / spread).amax(dim=1)))


def norm_of_sights(places: Places, things: Places) -> Norm:
    """Give how alike different things look, apart from the scene's average: what a picture of something else reaches.

    Args:
        places: where questions are measured.
        things: what stands for pictures of something else, wherever it is not itself nearby.
    """
    average = places.average
    apart = (places.vectors - (places.vectors @ average)[:, None] * average).norm(dim=1).clamp_min(LEAST_SPREAD)
    zero = torch.zeros_like(apart)
    if min(len(things.vectors), len(apart)) < 2:
        return Norm(zero, apart, 0.0, LEAST_SPREAD)
    step = max(1, -(-len(things.vectors) // MOST_PLACES))
    cosines = deviations(things.vectors[::step], average) @ places.vectors.T / apart
    low, high = places.centres.quantile(torch.tensor([0.05, 0.95]), dim=0)
    remote = torch.cdist(things.centres[::step], places.centres) > REMOTE * (high - low).norm()
    best = torch.where(remote, cosines, -math.inf).amax(dim=1)
    return Norm(zero, apart, *_lower_half(best[best.isfinite()]))


def _things_of(field: Field) -> Places | None:
    """Give the instances of a field; None where it has none."""
    found = field.instances
    if found is None or len(found) < 2:
        return None
    means = field.gaussians.means.detach().float().cpu()[found.rows.long()]
    centres = torch.zeros(len(found), 3).index_add_(0, found.owner, means) / found.sizes.clamp_min(1)[:, None]
    return Places(normalize(found.vectors.float(), dim=-1), centres)


def _lower_half(best: Float[Tensor, " V"]) -> tuple[float, float]:
    """Give the median, and the distance to what 16 % stay below: one standard deviation of a normal distribution."""
    if len(best) == 0:
        return 0.0, LEAST_SPREAD
    median, low = (float(best.double().quantile(share)) for share in (0.5, 0.16))
    return median, max(median - low, LEAST_SPREAD)


def _nowhere(phrases: Phrases, row: int) -> Judgement:
    against = ", ".join(phrases.negatives)
    return Judgement(0.0, "not in this scene", f"nowhere does '{phrases.texts[row]}' fit better than {against}", "")


def _most(scores: Float[Tensor, "Q U"]) -> list[float]:
    return scores.amax(dim=1).tolist() if scores.shape[1] else [0.0] * len(scores)


def _taught(phrases: Phrases, row: int, best: float) -> Judgement:
    verdict = "found" if best >= FOUND_FROM else "unsure" if best > NEUTRAL else "not in this scene"
    return Judgement(best, verdict, f"'{phrases.texts[row]}' was taught; its best place has relevancy {best:.2f}", "")


def _judged(text: str, score: float, called: str) -> Judgement:
    share = f"{math.floor(100 * score)} % of things that are not here would"
    if score >= FOUND_FROM:
        return Judgement(score, "found", f"a place fits '{text}' better than {share}", called)
    rather = f"; among common names '{called}' fits that place best"
    if score >= UNSURE_FROM:
        return Judgement(score, "unsure", f"the best place fits '{text}' better than {share}{rather}", called)
    note = f"the best place fits '{text}' only better than {share}{rather}"
    return Judgement(score, "not in this scene", note, called)
