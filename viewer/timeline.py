"""A scene over time, as the page's time line shows it: which state each thing is in when, and what happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from langfield.field.status import StatusTracks
from langfield.query.event import Event, EventAsker
from langfield.query.named_states import named_states
from langfield.query.states import with_states
from langfield.query.when import runs
from langfield.run import Run
from langfield.viewer.session import PALETTE, RGB


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
        if not self.knows_states:
            return None
        kind = "net" if self.run.field.status_tracks is None else "tracks"
        return with_states(self.run.field, self.run.times_s, kind).status_tracks

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

    @property
    def is_ready(self) -> bool:
        """Whether the encoder of the captions is loaded."""
        return "asker" in self.__dict__

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

    def name_of(self, thing: int) -> str:
        """Give what captions call a thing, its number where nobody knows."""
        said = self._said.get(thing)
        return said[0] if said and said[0] else f"thing {thing}"

    def bands(self, thing: int) -> tuple[StateBand, ...]:
        """Give the states of a thing that ever hold, in the order of their first time."""
        tracks = self.tracks
        if tracks is None or not 0 <= thing < len(tracks.prototypes):
            return ()
        found = named_states(tracks, thing, self._said.get(thing, ("", []))[1])
        return tuple(
            StateBand(state.name or f"state {i + 1}", state.active, PALETTE[i % len(PALETTE)])
            for i, state in enumerate(found)
        )

    @cached_property
    def _said(self) -> dict[int, tuple[str, list[tuple[int, str]]]]:
        """Each thing's name, and its captions with the number of their time."""
        captions = self.run.captions()
        if captions is None or not len(self.times_s):
            return {}
        times = {f.name: f.camera.time_s for f in self.run.frames}
        at = {n: int(np.abs(self.times_s - t).argmin()) for n, t in times.items() if t is not None}
        return {
            o.instance - 1: (o.name, [(at[frame], text) for frame, text in o.frames.items() if frame in at])
            for o in captions.objects
        }

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
    """Draw bands of states below each other over one axis, with a line at the time that is shown."""
    if not bands:
        return ""
    first, span = float(times_s[0]), max(float(times_s[-1] - times_s[0]), 1e-9)
    ends = np.concatenate([[first], (times_s[1:] + times_s[:-1]) / 2, [first + span]])

    def part(time_s: float) -> float:
        return 100 * min(max((time_s - first) / span, 0.0), 1.0)

    now = f'<div style="position:absolute;top:0;bottom:0;left:{part(now_s):.2f}%;width:2px;background:#fff"></div>'
    rows = []
    for band in bands:
        bars = "".join(
            f'<div style="position:absolute;top:0;bottom:0;left:{part(ends[a]):.2f}%;'
            f'width:{part(ends[b]) - part(ends[a]):.2f}%;background:rgb{band.colour}"></div>'
            for a, b, on in runs(band.active)
            if on
        )
        rows.append(
            f'<div style="margin-top:6px">{escape(band.name[:120])}</div>'
            f'<div style="position:relative;height:12px;background:#444;overflow:hidden">{bars}{now}</div>'
        )
    axis = f"<span>{first:.2f} s</span><span>now {now_s:.2f} s</span><span>{first + span:.2f} s</span>"
    rows.append(f'<div style="display:flex;justify-content:space-between;opacity:0.7">{axis}</div>')
    return f'<div style="font-size:12px;padding:0 0.9em">{"".join(rows)}</div>'
