"""How well sentences fit the states of things over time: the scores that `query.when` reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.types import Codec
from langfield.errors import QueryError
from langfield.field.at_time import status_codes
from langfield.field.status import thing_status
from langfield.field.types import Field
from langfield.query.when import When, WhenSettings, when


@torch.no_grad()
def thing_scores(field: Field, sentences: Float[Tensor, "Q D"], times_s: Sequence[float]) -> Float[np.ndarray, "O T Q"]:
    """Give the cosine of sentences with every thing's state at every time.

    Args:
        field: one whose states were lifted from captions.
        sentences: embedded by the encoder of the captions.
        times_s: T times, seconds.

    Raises:
        QueryError: the field has no such states, or sentences have another width.
    """
    if field.status_tracks is None:
        raise QueryError("the field has no states of things", remedy="train it with captions")
    codec, units = _checked(field, sentences)
    tracks = field.status_tracks
    return torch.stack([codec.inner(thing_status(tracks, t), units) for t in times_s], dim=1).numpy()


@torch.no_grad()
def rows_scores(
    field: Field, sentences: Float[Tensor, "Q D"], times_s: Sequence[float], rows: Int[Tensor, " R"], kind: str = ""
) -> Float[np.ndarray, "T Q"]:
    """Give the mean cosine of sentences with the states of some Gaussians at every time; nan where none has a state.

    Args:
        field: one with states of any kind.
        sentences: embedded by the encoder of the captions.
        times_s: T times, seconds.
        rows: of the Gaussians; 4D LangSplat takes what a time-agnostic question found.
        kind: tracks or net; empty takes what there is, tracks first.

    Raises:
        QueryError: the field has no such states, or sentences have another width.
    """
    codec, units = _checked(field, sentences)
    out = []
    for time_s in times_s:
        codes = status_codes(field, time_s, kind)[rows.long()]
        out.append(codec.inner(codes[(codes != 0).any(dim=1)], units).mean(dim=0))
    return torch.stack(out).numpy()


def when_thing(
    field: Field,
    thing: int,
    sentences: tuple[Float[Tensor, " D"], Float[Tensor, "V D"]],
    settings: WhenSettings | None = None,
) -> When:
    """Tell when a thing is as a sentence says.

    Args:
        field: one whose states were lifted from captions.
        thing: its number.
        sentences: the question, and V sentences about something else, embedded by the encoder of the captions.
        settings: how.

    Raises:
        QueryError: the field has no such states, no such thing, or sentences have another width.
    """
    tracks, (question, others) = field.status_tracks, sentences
    if tracks is None or not 0 <= thing < len(tracks.prototypes):
        count = 0 if tracks is None else len(tracks.prototypes)
        raise QueryError(f"there is no thing {thing}, the field knows the states of {count}")
    times = tracks.times_s.numpy()
    scores = thing_scores(field, torch.cat([question[None], others]), times.tolist())[thing].T
    return when(times, scores[0], scores[1:] if len(others) else None, settings)


def _checked(field: Field, sentences: Float[Tensor, "Q D"]) -> tuple[Codec, Float[Tensor, "Q D"]]:
    codec = field.caption_codec
    if codec is None or sentences.shape[-1] != codec.dim:
        known = "none" if codec is None else codec.dim
        raise QueryError(
            "sentences do not fit the captions of this field", f"width {sentences.shape[-1]}, known {known}"
        )
    return codec, normalize(sentences.float(), dim=-1)
