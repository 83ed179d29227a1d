"""The rows of `bench dynamic`: what tells a thing's state at a time, and how a question is put to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.commands.dynamic_bench.source import Source
from langfield.errors import SettingsError
from langfield.field.status import StatusTracks
from langfield.field.status_fit import StatusSettings
from langfield.field.status_lift import StatesSettings, lift_status
from langfield.field.types import Field
from langfield.query.event import EventAsker
from langfield.query.relevancy import encode_phrases
from langfield.query.states import per_time, thing_scores, with_states
from langfield.query.when import PAPER_WEIGHTS, WhenSettings, when
from langfield.states import fit_net
from langfield.suite.sentences import SentenceEncoder

States = Literal["closed form", "network", "captions", "CLIP"]
Asked = Literal["ours", "mean rule", "mean rule, as asked"]


@dataclass(frozen=True)
class Row:
    """One way to answer when a thing is in a state."""

    states: States
    """closed form: K states a thing; network: K a Gaussian, 4D LangSplat's status network; captions: what was said of
    each time, no states; CLIP: what the picture of each time looks like, no captions."""
    asked: Asked
    """ours: rewritten, judged, split; mean rule: rewritten, above the mean; as asked: without rewriting."""
    count: int = 3
    """K."""

    @property
    def key(self) -> str:
        """Name in files and tables."""
        many = f", K = {self.count}" if self.states in ("closed form", "network") else ""
        return f"{self.states}{many}; {self.asked}"


ROWS = (
    Row("closed form", "ours"),
    *(Row("closed form", "ours", k) for k in (1, 2, 6)),
    Row("network", "ours"),
    Row("captions", "ours"),
    Row("closed form", "mean rule"),
    Row("network", "mean rule, as asked"),
    *(Row("network", "mean rule, as asked", k) for k in (1, 2, 6)),
    Row("captions", "mean rule, as asked"),
    Row("CLIP", "mean rule, as asked"),
)
"""The first is what a run does. As asked by the mean rule, the network is 4D LangSplat's whole, captions are
that without its status network, and CLIP is its deformable CLIP."""

Answers = Callable[[str], tuple[int, Bool[np.ndarray, " T"], Float[np.ndarray, " T"]]]
"""Question to the thing it is about, whether it is so at each time, and those times in seconds."""


def answers(row: Row, source: Source, field: Field, encoder: SentenceEncoder) -> Answers:
    """Give what answers questions one row's way.

    Args:
        row: the way.
        source: tracks and captions.
        field: trained, with things and the row's states.
        encoder: of the captions.
    """
    if row.states == "CLIP":
        return _by_clip(source, field, encoder)
    asker = EventAsker(field, source.spoken.captions, encoder)

    def answer(text: str) -> tuple[int, Bool[np.ndarray, " T"], Float[np.ndarray, " T"]]:
        event = asker.ask(text)
        if row.asked == "ours":
            return event.thing, event.when.active, event.times_s
        scores = event.scores
        if row.asked == "mean rule, as asked":
            asked = encoder.encode_queries([text])
            scores = thing_scores(asker.field, asked, event.times_s.tolist())[event.thing, :, 0]
        return event.thing, _mean(event.times_s, scores), event.times_s

    return answer


def _mean(times_s: Float[np.ndarray, " T"], scores: Float[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
    return when(times_s, scores, None, WhenSettings(rule="mean", weights=PAPER_WEIGHTS)).active


def states_of(row: Row, source: Source, field: Field, seed: int) -> StatusTracks:
    """Give the states of things one row's way; without states, and of a network, a state per time.

    Args:
        row: the way; CLIP has the closed form, which only tells things.
        source: tracks and captions.
        field: trained, with things.
        seed: of the status network.

    Raises:
        SettingsError: a network is wanted without a deformation.
    """
    spoken, tracks = source.spoken, cast(StatusTracks, field.status_tracks)
    codes = spoken.codes()
    if row.states in ("closed form", "CLIP"):
        return lift_status(tracks.owner, spoken.times_s, codes, spoken.said, StatesSettings(states=row.count))
    if row.states == "captions":
        return per_time(tracks.owner, spoken.times_s, held(codes, spoken.said))
    if field.deformation is None:
        raise SettingsError("a status network stands on a deformation, and there is none")
    settings = StatusSettings(states=row.count, seed=seed)
    net = fit_net(field.gaussians, field.deformation, tracks.owner, (spoken, codes), settings)
    asked = with_states(replace(field, status_net=net), spoken.times_s.tolist(), "net")
    return cast(StatusTracks, asked.status_tracks)


def held(codes: Float[Tensor, "O T s"], said: Bool[Tensor, "O T"]) -> Float[Tensor, "O T s"]:
    """Fill times at which nothing was said with what was said at the nearest one."""
    out = codes.clone()
    at = torch.arange(codes.shape[1])
    for thing, seen in enumerate(said):
        if seen.any():
            rows = torch.nonzero(seen)[:, 0]
            out[thing] = codes[thing, rows[(at[:, None] - rows).abs().argmin(dim=1)]]
    return out


def _by_clip(source: Source, field: Field, encoder: SentenceEncoder) -> Answers:
    """Hold a question against the picture of the thing at each time, in CLIP's space."""
    asker = EventAsker(field, source.spoken.captions, encoder)
    times_s, looks = picture_vectors(source)

    def answer(text: str) -> tuple[int, Bool[np.ndarray, " T"], Float[np.ndarray, " T"]]:
        thing = asker.ask(text).thing
        asked = encode_phrases(source.encoder, [text], looks.shape[-1]).positives[0]
        return thing, _mean(times_s, (looks[thing] @ asked).numpy()), times_s

    return answer


def picture_vectors(source: Source) -> tuple[Float[np.ndarray, " T"], Float[Tensor, "O T D"]]:
    """Give the times of the pictures, and what the segments of every thing look like at each; gaps take the nearest."""
    tracks = source.watched.tracks
    times, place = np.unique(np.array(tracks.times_s), return_inverse=True)
    tables = [f.load()[1].float() for f in source.features]
    sums = torch.zeros(len(tracks), len(times), tables[0].shape[1])
    for thing, picture, segment in tracks.members.tolist():
        sums[thing, int(place[picture])] += tables[picture][segment]
    seen = sums.norm(dim=-1) > 0
    return times, normalize(held(sums, seen), dim=-1)


def names() -> Mapping[str, Row]:
    """Give the rows by their names."""
    return {row.key: row for row in ROWS}
