"""How well sentences fit the states of things over time: the scores that `query.when` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.types import Codec
from langfield.errors import QueryError
from langfield.field.at_time import status_codes
from langfield.field.status import StatusTracks, thing_status
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
def with_states(field: Field, times_s: Sequence[float], kind: str = "") -> Field:
    """Give the field with states of things of one kind: a network's are those of each thing's Gaussians at each time.

    Args:
        field: one with states of any kind; comes back as it is where it has these tracks.
        times_s: rising, seconds; at which a network is asked.
        kind: tracks or net; empty takes what there is, a network first.

    Raises:
        QueryError: the field has no such states, or a network but no things or times.
    """
    if kind == "tracks" or (not kind and field.status_net is None):
        if field.status_tracks is None:
            raise QueryError("the field has no states of things", remedy="train it with captions")
        return field
    owner, things = owners_of(field)
    if not len(times_s):
        raise QueryError("nobody knows at which times the network of states is to be asked")
    means = [thing_means(status_codes(field, t, "net"), owner, things) for t in times_s]
    return replace(field, status_tracks=per_time(owner, torch.tensor(times_s).double(), torch.stack(means, dim=1)))


def owners_of(field: Field) -> tuple[Int[Tensor, " N"], int]:
    """Give the thing every Gaussian belongs to, -1 where none, and how many things there are.

    Raises:
        QueryError: the field has no things.
    """
    if field.status_tracks is not None:
        return field.status_tracks.owner, len(field.status_tracks.prototypes)
    if field.instances is None:
        raise QueryError("the field has no things", remedy="train it with tracks")
    first, rows = field.instances.first.long(), field.instances.rows.long()
    owner = torch.full((len(field.gaussians),), -1, dtype=torch.int32)
    owner[rows] = torch.repeat_interleave(torch.arange(len(first) - 1, dtype=torch.int32), first.diff())
    return owner, len(first) - 1


def thing_means(codes: Float[Tensor, "N s"], owner: Int[Tensor, " N"], things: int) -> Float[Tensor, "O s"]:
    """Give the mean code of every thing's Gaussians, of unit length; zero where it has none."""
    own = owner >= 0
    sums = codes.new_zeros(things, codes.shape[1]).index_add_(0, owner[own].long(), codes[own])
    return normalize(sums, dim=-1)


def per_time(owner: Int[Tensor, " N"], times_s: Float[Tensor, " T"], codes: Float[Tensor, "O T s"]) -> StatusTracks:
    """Give tracks whose state at each time is a code of its own."""
    shares = torch.eye(len(times_s)).expand(len(codes), -1, -1)
    return StatusTracks(owner.int(), codes, times_s.double(), shares)


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
        kind: tracks or net; empty takes what there is, a network first.

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
