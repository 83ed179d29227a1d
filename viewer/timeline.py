"""A scene over time, as the page's time line shows it: which state each thing is in when, and what happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch.nn.functional import normalize

from langfield.errors import LangfieldError
from langfield.field.status import StatusTracks
from langfield.query.event import Event, EventAsker
from langfield.query.states import with_states
from langfield.query.when import runs
from langfield.run import Run
from langfield.viewer.session import PALETTE, RGB

SAME = 0.9
"""States whose prototypes have at least this cosine are one."""
LEAST_SHARE = 0.5
"""A state holds where it is at least this likely."""


@dataclass(frozen=True)
class StateBand:
    """When one state of a thing holds."""

    name: str
    """What captions say of it."""
    active: Bool[np.ndarray, " T"]
    colour: RGB


@dataclass(frozen=True)
class Happening:
    """The beginning of a state."""

    time_s: float
    text: str

    def __str__(self) -> str:
        """Give it as a line of a list."""
        return f"{self.time_s:.2f} s  {self.text}"[:80]


class Timeline:
    """What a run knows of its times; one that stands still knows none.

    Args:
        run: the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def moves(self) -> bool:
        """Tell whether the scene differs from time to time."""
        field = self.run.field
        return field.deformation is not None or self.knows_states

    @property
    def knows_states(self) -> bool:
        """Tell whether it can be asked when something is so."""
        return self.run.field.status_tracks is not None or self.run.field.status_net is not None

    @cached_property
    def tracks(self) -> StatusTracks | None:
        """States of things over time, for bands; of a network only where there is nothing else."""
        return with_states(self.run.field, self.run.times_s).status_tracks if self.knows_states else None

    @cached_property
    def times_s(self) -> Float[np.ndarray, " T"]:
        """The times states are known at; without states those of the frames, seconds."""
        return np.array(self.run.times_s) if self.tracks is None else self.tracks.times_s.numpy()

    @cached_property
    def asker(self) -> EventAsker:
        """What answers when something is so; loads the encoder of the captions.

        Raises:
            QueryError: the run knows no states of things.
            EnvironmentProblem: the encoder's weights are not on this machine.
        """
        return self.run.event_asker()

    def ask(self, sentence: str) -> Event:
        """Answer a sentence; see `EventAsker.ask`."""
        return self.asker.ask(sentence)

    def thing_of(self, rows: Int64[np.ndarray, " S"]) -> int | None:
        """Give the thing that most of some Gaussians belong to, None where most belong to none."""
        tracks = self.tracks
        if tracks is None or not len(rows):
            return None
        counts = torch.bincount(tracks.owner[torch.from_numpy(np.array(rows))].long() + 1)
        best = int(counts.argmax())
        return best - 1 if best > 0 else None

    def rows_of(self, thing: int) -> Int64[np.ndarray, " S"]:
        """Give the Gaussians of a thing."""
        tracks = self.tracks
        return np.zeros(0, np.int64) if tracks is None else np.flatnonzero(tracks.owner.numpy() == thing)

    def bands(self, thing: int) -> tuple[StateBand, ...]:
        """Give the states of a thing that ever hold, those alike as one, in the order of their first time."""
        tracks = self.tracks
        if tracks is None:
            return ()
        prototypes, shares = normalize(tracks.prototypes[thing].float(), dim=-1), tracks.shares[thing].numpy()
        alike = (prototypes @ prototypes.T >= SAME).numpy()
        first = alike.argmax(axis=0)
        found = []
        for state in sorted(set(first.tolist())):
            active = shares[:, first == state].sum(axis=1) > LEAST_SHARE
            if active.any():
                found.append(active)
        found.sort(key=lambda a: int(a.argmax()))
        return tuple(StateBand(self._name(thing, a, i), a, PALETTE[i % len(PALETTE)]) for i, a in enumerate(found))

    def _name(self, thing: int, active: Bool[np.ndarray, " T"], number: int) -> str:
        """Say what a thing is like in the middle of the longest stretch of a state."""
        first, last, _ = max((r for r in runs(active) if r[2]), key=lambda r: r[1] - r[0])
        try:
            return self.asker.state_at(thing, float(self.times_s[(first + last - 1) // 2]))[0]
        except LangfieldError:
            return f"state {number + 1}"

    def happenings(self, bands: Sequence[StateBand]) -> tuple[Happening, ...]:
        """Give the beginning of every stretch of states, in the order of time."""
        found = [
            Happening(float(self.times_s[first]), band.name)
            for band in bands
            for first, _, on in runs(band.active)
            if on
        ]
        return tuple(sorted(found, key=lambda h: h.time_s))


def bands_html(times_s: Float[np.ndarray, " T"], bands: Sequence[StateBand], now_s: float) -> str:
    """Draw bands of states below each other, with a line at the time that is shown."""
    first, span = float(times_s[0]), max(float(times_s[-1] - times_s[0]), 1e-9)
    ends = np.concatenate([[first], (times_s[1:] + times_s[:-1]) / 2, [first + span]])

    def part(time_s: float) -> float:
        return 100 * min(max((time_s - first) / span, 0.0), 1.0)

    rows = []
    for band in bands:
        bars = "".join(
            f'<div style="position:absolute;top:0;bottom:0;left:{part(ends[a]):.2f}%;'
            f'width:{part(ends[b]) - part(ends[a]):.2f}%;background:rgb{band.colour}"></div>'
            for a, b, on in runs(band.active)
            if on
        )
        line = f'<div style="position:absolute;top:-2px;bottom:-2px;left:{part(now_s):.2f}%;width:2px;background:#fff">'
        rows.append(
            f'<div style="font-size:12px;margin-top:6px">{escape(band.name[:120])}</div>'
            f'<div style="position:relative;height:12px;background:#444;border-radius:2px">{bars}{line}</div></div>'
        )
    return "".join(rows)
