"""Where relevancy maps come from: the field, or 2D features alone, which show what is lost through 3D."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int16
from torch import Tensor

from langfield.capture.types import Frame
from langfield.evaluate.labels import Labels
from langfield.evaluate.langsplat2d import Score, score_query
from langfield.evaluate.types import Features
from langfield.field.at_time import at_time
from langfield.field.types import Field
from langfield.progress import track
from langfield.query.image import language_of, relevancy_maps
from langfield.query.relevancy import NEUTRAL, Phrases, encode_phrases
from langfield.suite.types import TextEncoder

Maps = Float32[np.ndarray, "Q L H W"]


def score_field(field: Field, frames: Sequence[Frame], labels: Labels, encoder: TextEncoder) -> list[Score]:
    """Score a field by LangSplat's 2D protocol at the size of the frames.

    Raises:
        QueryError: encoder and field do not fit, or a label cannot be asked.
    """
    dim = language_of(field)[1].dim
    return score_maps(
        frames, labels, lambda frame, texts: field_maps(field, frame, encode_phrases(encoder, texts, dim))
    )


def score_features(
    load: Callable[[Frame], Features],
    frames: Sequence[Frame],
    labels: Labels,
    encoder: TextEncoder,
    fill: float = NEUTRAL,
) -> list[Score]:
    """Score 2D features alone: segment embeddings painted by their id maps, no 3D.

    Args:
        load: gives a frame's id maps and its table of unit vectors.
        frames: the capture's frames.
        labels: what is asked of them.
        encoder: text encoder.
        fill: relevancy of pixels without a mask; 0.5 is what LangSplat's formula gives a zero feature.
    """

    def maps(frame: Frame, texts: Sequence[str]) -> Maps:
        ids, vectors = load(frame)
        return segment_maps(ids, vectors, encode_phrases(encoder, texts, vectors.shape[1]), fill)

    return score_maps(frames, labels, maps)


def score_maps(frames: Sequence[Frame], labels: Labels, maps: Callable[[Frame, Sequence[str]], Maps]) -> list[Score]:
    """Score whatever gives relevancy maps for the texts asked of a frame, frame by frame."""
    asked = [frame for frame in frames if any(q.frame == frame.name for q in labels.queries)]
    return [score for frame in track(asked, "evaluate") for score in _of_frame(frame, labels, maps)]


def _of_frame(frame: Frame, labels: Labels, maps: Callable[[Frame, Sequence[str]], Maps]) -> Iterator[Score]:
    queries = [q for q in labels.queries if q.frame == frame.name]
    found = maps(frame, [q.text for q in queries])
    for query, own in zip(queries, found, strict=True):
        yield score_query(query, own)


def field_maps(field: Field, frame: Frame, phrases: Phrases) -> Maps:
    """Draw a frame's relevancy maps from a field, as it is at the frame's time."""
    return relevancy_maps(at_time(field, frame.camera.time_s), frame.camera, phrases).float().cpu().numpy()


@torch.no_grad()
def segment_maps(
    ids: Int16[np.ndarray, "L H W"], vectors: Float[Tensor, "M D"], phrases: Phrases, fill: float = NEUTRAL
) -> Maps:
    """Paint each segment's relevancy where the segment is.

    Args:
        ids: row into `vectors` per level and pixel, -1 where there is no mask.
        vectors: unit vector per segment.
        phrases: what is asked.
        fill: value of pixels without a mask.
    """
    scores = phrases.scores(vectors.float()).numpy()  # Q M
    table = np.concatenate([scores, np.full((len(phrases), 1), fill)], axis=1).astype(np.float32)
    return table[:, ids]  # id -1 reads the last column
