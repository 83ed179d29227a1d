"""The time line: scrub and play a scene that moves, the states of the selected thing, what happens, and "when"."""

from __future__ import annotations

import threading
import time

import viser

from langfield.query.event import Event
from langfield.viewer import cameras
from langfield.viewer.desk import Desk
from langfield.viewer.newest import Newest
from langfield.viewer.panels.say import paragraph
from langfield.viewer.session import PALETTE
from langfield.viewer.timeline import StateBand, Timeline, bands_html

NOTHING: str = "(pick an event)"
PLAY_S = 10.0
"""A scene is played in this many seconds, however many pictures that gives time for."""
PICTURES_PER_S = 6
INVITATION = "Click a thing for its states, or ask when something is so."


class TimePanel:
    """A slider over the frames' times; no tab where they have none. Where the scene moves, all that belongs to it.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        newest: does one question at a time.
        tabs: where its tab goes.
    """

    def __init__(self, desk: Desk, server: viser.ViserServer, newest: Newest, tabs: viser.GuiTabGroupHandle) -> None:
        self._desk, self._server, self._newest = desk, server, newest
        self._timeline = Timeline(desk.run)
        timed = [(f.camera.time_s, f) for f in desk.run.frames if f.camera.time_s is not None]
        self._frames = sorted(timed, key=lambda pair: pair[0])
        self._up = cameras.world_up(desk.run.frames)
        self._stop = threading.Event()
        self.players: list[threading.Thread] = []
        """Threads that play; at most one is not about to end."""
        self._shown: tuple[StateBand, ...] = ()
        self._seen: object = None
        if len(self._frames) < 2:
            return
        first, last = self._frames[0][0], self._frames[-1][0]
        with tabs.add_tab("Time", viser.Icon.CLOCK):
            if self.timeline.moves:
                self._add_play(server.gui)
            step = max((last - first) / 1000, 1e-6)
            self.time = server.gui.add_slider("Seconds", first, max(last, first + step), step, first)
            self.follow = server.gui.add_checkbox("Follow the camera", not self.timeline.moves)
            if self.timeline.knows_states:
                self._add_states(server.gui)
        self.time.on_update(lambda event: desk.guarded(lambda: self._scrubbed(event.client)))

    @property
    def timeline(self) -> Timeline:
        """What the run on the page knows of its times."""
        if self._timeline.run is not self._desk.run:
            self._timeline = Timeline(self._desk.run)
        return self._timeline

    def _add_play(self, gui: viser.GuiApi) -> None:
        self.play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        self.play.on_click(lambda _: self.start_or_stop())

    def _add_states(self, gui: viser.GuiApi) -> None:
        with gui.add_form("When") as self.form:
            self.text = gui.add_text("When", "", hint="Such as: the box is open. It is told when, or that it never is.")
            ask = gui.add_button("When?", icon=viser.Icon.CLOCK)
        ask.on_click(lambda _: self.form.submit())
        self.form.on_submit(lambda event: self._later(event.client_id, self.text.value))
        self.answer = gui.add_html(paragraph(INVITATION))
        self.bands = gui.add_html("", visible=False)
        self.events = gui.add_dropdown("Go to", (NOTHING,), initial_value=NOTHING, visible=False, hint=EVENTS_HINT)
        self.events.on_update(lambda event: self._desk.guarded(lambda: self._jump(event.client)))
        self._desk.listen(self.refresh)

    def _later(self, client: int | None, text: str) -> None:
        self._newest.put(client, lambda: self._desk.guarded(lambda: self._asked(text)))

    def _asked(self, text: str) -> None:
        if not self.timeline.is_ready:
            self.answer.content = paragraph("Loading the encoder of the captions (at the first question only) …")
        try:
            self.ask(text)
        except Exception:
            self.answer.content = paragraph(INVITATION)
            raise
        self._desk.tell("")

    def ask(self, text: str) -> None:
        """Tell when something is so, light its thing, and go to its first time.

        Raises:
            QueryError: it cannot be asked.
        """
        event = self.timeline.ask(text)
        self.answer.content = paragraph(said(event))
        asked = StateBand(event.question, event.when.active, PALETTE[0])
        self.show((asked, *(b for b in self.timeline.bands(event.thing) if event.verdict == "never")))
        rows = self.timeline.rows_of(event.thing)
        if event.verdict != "never" and len(rows):
            with self._desk.lock:  # else what somebody else does meanwhile takes the old selection for a new one
                self._seen = rows.tobytes()
                self._desk.select(rows, "replace")
            self.go_to(event.when.intervals[0].first_s if event.when.intervals else self.now_s)

    @property
    def now_s(self) -> float:
        """The time that is shown, seconds."""
        return float(self.time.value)

    def go_to(self, time_s: float) -> None:
        """Show a time."""
        self.time.value = min(max(time_s, self.time.min), self.time.max)
        if self.timeline.moves:
            self._desk.go_to(self.now_s)
        self._draw()

    def show(self, bands: tuple[StateBand, ...]) -> None:
        """Show bands and their events."""
        self._shown = bands
        lines = tuple(dict.fromkeys(str(h) for h in self.timeline.happenings(bands)))
        self.events.options = (NOTHING, *lines) if lines else (NOTHING,)
        self.events.visible = bool(lines)
        self._draw()

    def _draw(self) -> None:
        if self.timeline.knows_states:
            self.bands.visible = bool(self._shown)
            self.bands.content = bands_html(self.timeline.times_s, self._shown, self.now_s)

    def refresh(self) -> None:
        """Show the states of what is selected, where that changed."""
        rows = self._desk.document.selection
        if rows.tobytes() == self._seen:
            return
        self._seen = rows.tobytes()
        thing = self.timeline.thing_of(rows)
        if thing is not None:
            bands = self.timeline.bands(thing)
            name = self.timeline.name_of(thing)
            self.answer.content = paragraph(f"The {name}, over time." if bands else f"Nothing was said of {name}.")
            self.show(bands)

    def _jump(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        chosen = self.events.value
        found = next((h for h in self.timeline.happenings(self._shown) if str(h) == chosen), None)
        if found is not None:
            self.go_to(found.time_s)

    def _scrubbed(self, client: viser.ClientHandle | None) -> None:
        if client is None:
            return
        if self.timeline.moves:
            self._desk.go_to(self.now_s)
            self._draw()
        if self.follow.value:
            self._follow(client)

    def _follow(self, client: viser.ClientHandle) -> None:
        _, frame = min(self._frames, key=lambda pair: abs(pair[0] - self.now_s))
        distance = cameras.distance_seen(frame.camera, self._desk.gaussians)
        cameras.move(client, cameras.view_pose(frame.camera, self._up, distance))

    def start_or_stop(self) -> None:
        """Play from the time that is shown, or from the start where that is the end; or stop playing."""
        if self.play.label == "Stop":
            self._stop.set()
            return
        self.play.label, self.play.icon = "Stop", viser.Icon.PLAYER_PAUSE
        self._stop = threading.Event()
        self.players = [*(p for p in self.players if p.is_alive()), threading.Thread(target=self._run, daemon=True)]
        self.players[-1].start()

    def _run(self) -> None:
        stop, first, last = self._stop, float(self.time.min), float(self.time.max)
        begin = first if self.now_s >= last - (last - first) / (PLAY_S * PICTURES_PER_S) else self.now_s
        started, now = time.monotonic(), begin
        while not stop.is_set():
            self._desk.guarded(lambda now=now: self.go_to(now))
            if now >= last:
                break
            stop.wait(1 / PICTURES_PER_S)
            now = min(begin + (time.monotonic() - started) * (last - first) / PLAY_S, last)
        self.play.label, self.play.icon = "Play", viser.Icon.PLAYER_PLAY


def said(event: Event) -> str:
    """Say an answer in words."""
    name = event.name or f"thing {event.thing}"
    spans = ", ".join(f"{i.first_s:.2f} to {i.last_s:.2f} s" for i in event.when.intervals)
    if event.verdict == "never":
        return f"The {name}: never. {_sentence(event.when.note)}"
    found = f"{event.verdict}, {spans or 'at no time'} ({event.when.score:.2f})"
    return f"The {name}: {found}. {_sentence(event.when.note)}"


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:].rstrip('.')}." if note else ""


EVENTS_HINT = "What happens, in the order of time."
