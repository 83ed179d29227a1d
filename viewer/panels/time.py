"""The time line: scrub and play a scene that moves, the states of the selected thing, what happens, and "when"."""

from __future__ import annotations

import threading

import viser

from langfield.query.event import Event
from langfield.viewer import cameras
from langfield.viewer.desk import Desk
from langfield.viewer.newest import Newest
from langfield.viewer.panels.say import paragraph
from langfield.viewer.session import PALETTE
from langfield.viewer.timeline import StateBand, Timeline, bands_html

NOTHING: str = "(nothing yet)"
PLAY_S = 10.0
"""A scene is played in this many seconds."""
PICTURES_PER_S = 6


class TimePanel:
    """A slider over the frames' times; hidden where they have none. Where the scene moves, all that belongs to it.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        newest: does one question at a time.
    """

    def __init__(self, desk: Desk, server: viser.ViserServer, newest: Newest) -> None:
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
        with server.gui.add_folder("Time"):
            step = max((last - first) / 1000, 1e-6)
            self.time = server.gui.add_slider("Seconds", first, max(last, first + step), step, first)
            self.follow = server.gui.add_checkbox("Follow the camera", not self.timeline.moves)
            if self.timeline.moves:
                self._add_moving(server.gui)
        self.time.on_update(lambda event: desk.guarded(lambda: self._scrubbed(event.client)))

    @property
    def timeline(self) -> Timeline:
        """What the run on the page knows of its times."""
        if self._timeline.run is not self._desk.run:
            self._timeline = Timeline(self._desk.run)
        return self._timeline

    def _add_moving(self, gui: viser.GuiApi) -> None:
        self.play = gui.add_button("Play", icon=viser.Icon.PLAYER_PLAY)
        self.play.on_click(lambda _: self.start_or_stop())
        if not self.timeline.knows_states:
            return
        with gui.add_form("When") as self.form:
            self.text = gui.add_text("When", "", hint="Such as: the box is open. It is told when, or that it never is.")
            ask = gui.add_button("When?", icon=viser.Icon.CLOCK)
        ask.on_click(lambda _: self.form.submit())
        self.form.on_submit(lambda event: self._later(event.client_id, self.text.value))
        self.answer = gui.add_html(paragraph("Select a thing for its states, or ask when something is so."))
        self.bands = gui.add_html("")
        self.events = gui.add_dropdown("What happens", (NOTHING,), initial_value=NOTHING)
        self.events.on_update(lambda event: self._desk.guarded(lambda: self._jump(event.client)))
        self._desk.listen(self.refresh)

    def _later(self, client: int | None, text: str) -> None:
        self._newest.put(client, lambda: self._desk.guarded(lambda: self.ask(text)))

    def ask(self, text: str) -> None:
        """Tell when something is so, light its thing, and go to its first time.

        Raises:
            QueryError: it cannot be asked.
        """
        event = self.timeline.ask(text)
        self.show((StateBand(event.question, event.when.active, PALETTE[0]),))
        self.answer.content = paragraph(said(event))
        rows = self.timeline.rows_of(event.thing)
        if event.verdict != "never" and len(rows):
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
        self._draw()

    def _draw(self) -> None:
        if self.timeline.knows_states:
            self.bands.content = bands_html(self.timeline.times_s, self._shown, self.now_s)

    def refresh(self) -> None:
        """Show the states of what is selected, where that changed."""
        rows = self._desk.document.selection
        if rows.tobytes() == self._seen:
            return
        self._seen = rows.tobytes()
        thing = self.timeline.thing_of(rows)
        if thing is not None:
            self.answer.content = paragraph(f"States of the selected thing, number {thing}.")
            self.show(self.timeline.bands(thing))

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
        distance = cameras.distance_seen(frame.camera, self._desk.run.field.gaussians)
        cameras.move(client, cameras.view_pose(frame.camera, self._up, distance))

    def start_or_stop(self) -> None:
        """Play from the time that is shown, or from the start where that is the end; or stop playing."""
        if self.play.label == "Stop":
            self._stop.set()
            return
        self.play.label = "Stop"
        self._stop = threading.Event()
        self.players = [*(p for p in self.players if p.is_alive()), threading.Thread(target=self._run, daemon=True)]
        self.players[-1].start()

    def _run(self) -> None:
        stop = self._stop
        first, last = float(self.time.min), float(self.time.max)
        step = (last - first) / (PLAY_S * PICTURES_PER_S)
        now = first if self.now_s >= last - step else self.now_s
        while now <= last and not stop.is_set():
            self._desk.guarded(lambda now=now: self.go_to(now))
            now += step
            stop.wait(1 / PICTURES_PER_S)
        self.play.label = "Play"


def said(event: Event) -> str:
    """Say an answer in words."""
    spans = ", ".join(f"{i.first_s:.2f} to {i.last_s:.2f} s" for i in event.when.intervals)
    return f"{event.name or 'thing'} {event.thing}: {event.verdict} ({event.when.score:.2f}) {spans}. {event.when.note}"
