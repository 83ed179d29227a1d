"""The page of a run in shards: look around with the detail that the camera needs, ask in words, go where it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import viser

from langfield.errors import LangfieldError, SettingsError
from langfield.progress import say
from langfield.query.answer import Answer
from langfield.query.relevancy import NEUTRAL, Phrases
from langfield.sharded import ShardedRun
from langfield.viewer import cameras, colours
from langfield.viewer.entrance import SETTINGS, ViewerSettings, invite, is_loopback, open_server, url_of
from langfield.viewer.gate import Gate, Key
from langfield.viewer.guard import GuardedServer
from langfield.viewer.newest import Newest
from langfield.viewer.pace import Pace, seconds_to_draw
from langfield.viewer.panels.say import paragraph
from langfield.viewer.panels.shard_select import ShardSelectPanel
from langfield.viewer.places import LEAST_ABOVE
from langfield.viewer.shard_scene import ShardScene, eye_of_page, usual_width
from langfield.viewer.traffic import Traffic
from langfield.viewer.work import attempt

REST_S = 0.15
"""A camera that has not moved for so long rests."""
BUDGET, LEAST_BUDGET, MOST_BUDGET = 300_000, 10_000, 1_000_000
SHARE = 0.7
"""Lit is what lies in the upper three tenths of the range, as elsewhere."""
LEAST_TOP = 0.6


class ShardApp:
    """A sharded run in the browser; `start` returns at once.

    Args:
        run: opened.
        settings: of the page.

    Raises:
        SettingsError: the budget is out of range.
    """

    def __init__(self, run: ShardedRun, settings: ViewerSettings = SETTINGS) -> None:
        if settings.budget is not None and not LEAST_BUDGET <= settings.budget <= MOST_BUDGET:
            raise SettingsError(f"the budget goes from {LEAST_BUDGET:,} to {MOST_BUDGET:,} Gaussians", settings.budget)
        self.run, self._settings = run, settings
        self.gate, self.traffic = Gate(is_loopback(settings.host), settings.limits), Traffic()
        self.refining, self.asking = Newest(), Newest()
        self.scene = ShardScene(run.shards, usual_width(run.shards))
        self.answer: Answer | None = None
        self.panel: ShardSelectPanel | None = None
        self._server: GuardedServer | None = None
        self._moves: dict[int, threading.Event] = {}
        self._paces: dict[int, Pace] = {}

    @property
    def port(self) -> int:
        """The port listened on; 0 before the start."""
        return self._server.get_port() if self._server else 0

    @property
    def pages(self) -> list[int]:
        """Numbers of the open pages."""
        return list(self._moves)

    @property
    def url(self) -> str:
        """What to open in a browser on this machine, its secret included."""
        return self.link(self.gate.owner)

    def link(self, key: Key) -> str:
        """Give the address that a key opens."""
        return url_of(self._settings.host, self.port, key)

    def start(self) -> None:
        """Serve the page.

        Raises:
            EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
        """
        server = self._server = open_server(self.gate, self.traffic, self._settings)
        self._build(server)
        up = cameras.world_up(self.run.frames)
        server.scene.set_up_direction(up)
        cameras.set_initial(server, self._first_pose(up))
        server.on_client_connect(self._meet)
        server.on_client_disconnect(lambda page: self._leave(page.client_id))

    def _first_pose(self, up: np.ndarray) -> cameras.Pose:
        """Look at the whole from one corner above."""
        index = self.run.shards.index
        low, high = np.min([s.low for s in index.shards], axis=0), np.max([s.high for s in index.shards], axis=0)
        middle, size = (low + high) / 2, float(np.linalg.norm(high - low))
        side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
        return cameras.Pose(middle + 0.55 * size * side + 0.35 * size * up, middle, up, np.radians(50.0))

    def _build(self, server: viser.ViserServer) -> None:
        gui = server.gui
        with gui.add_form("Ask") as self.form:
            self.text = gui.add_text("What", "", hint="A thing in a few words; | between names asks for any of them.")
            ask = gui.add_button("Ask", icon=viser.Icon.SEARCH)
        self.message = gui.add_html(paragraph("Type what you are looking for."))
        go, clear = gui.add_button("Go to it", icon=viser.Icon.MAP_PIN), gui.add_button("Clear", color="gray")
        self.budget = gui.add_slider(
            "Gaussians",
            LEAST_BUDGET,
            MOST_BUDGET,
            10_000,
            self._settings.budget or BUDGET,
            hint="In sight at most; fewer move more smoothly. Until this is moved, a slow page gets fewer.",
        )
        self.detail = gui.add_html("")
        self.panel = ShardSelectPanel(self, server)
        ask.on_click(lambda _: self.form.submit())
        self.form.on_submit(
            lambda event: self.asking.put(event.client_id, lambda: self.guarded(lambda: self.ask(self.text.value)))
        )
        go.on_click(lambda event: self.guarded(lambda: self._go(event.client)))
        clear.on_click(lambda _: self.guarded(self.clear))
        self.budget.on_update(lambda _: self._trust())

    def guarded(self, work: Callable[[], object]) -> None:
        """Do something; say on the page what went wrong, and go on serving."""
        attempt(work, self.tell)

    def tell(self, text: str) -> None:
        """Say something on the page."""
        self.message.content = paragraph(text)

    def _trust(self) -> None:
        """Give all pages what somebody chose."""
        self._paces = {page: Pace(trusted=True) for page in self._paces}
        self.again()

    def _meet(self, page: viser.ClientHandle) -> None:
        self._paces[page.client_id] = Pace(trusted=self._settings.budget is not None)
        self._moves[page.client_id] = threading.Event()
        page.camera.on_update(lambda _: self._moved(page))
        self._moved(page)

    def _leave(self, page: int) -> None:
        self._moves.pop(page, None)
        self._paces.pop(page, None)
        self.scene.forget(page)

    def _moved(self, page: viser.ClientHandle) -> None:
        """Let what goes on for a page end, and begin again once its camera rests."""
        moves = self._moves.get(page.client_id)
        if moves is None:
            return
        moves.set()
        own = self._moves[page.client_id] = threading.Event()
        self.refining.put(page.client_id, lambda: self.guarded(lambda: self._refine(page, own)))

    def _refine(self, page: viser.ClientHandle, moved: threading.Event) -> None:
        if moved.wait(REST_S) or page.client_id not in self._moves:
            return
        eye, budget = eye_of_page(page.camera), int(self.budget.value)
        while True:
            pace = self._paces.get(page.client_id, Pace())
            now = pace.room(budget)
            if not self.scene.refine(page, eye, now, moved.is_set):
                return
            enough = self.scene.wanted(eye, now) == self.scene.wanted(eye, budget)
            self._say_detail(page.client_id, pace.settled and not enough)
            if enough or pace.settled:
                return
            seconds = seconds_to_draw(page)
            if moved.is_set() or not (pace.saw(now, seconds) or pace.settled):
                return

    def _say_detail(self, page: int, slow: bool) -> None:
        many, full = self.scene.counts(page)
        index = self.run.shards.index
        more = " This browser draws slowly: for more, move the slider." if slow else ""
        text = f"{many:,} of {index.count:,} Gaussians shown, {full} of {len(index.shards)} shards in full.{more}"
        self.detail.content = paragraph(text)

    def again(self) -> None:
        """Bring all pages in line with what is wanted now."""
        if self._server is not None:
            for page in self._server.get_clients().values():
                self._moved(page)

    def ask(self, text: str) -> None:
        """Ask for something in words; what fits lights up, wherever it is.

        Raises:
            QueryError: it cannot be asked, or the field has no language part.
        """
        texts = [part for part in text.split("|") if part.strip()] or [text]
        self.tell("Looking …")
        asked = self.run.questions(texts, any_of=True)
        answer = self.answer = self.run.answer(asked)
        place = "nowhere solid" if answer.position is None else "at ({:.2f}, {:.2f}, {:.2f})".format(*answer.position)
        self.tell(f"{answer.verdict[0].upper()}{answer.verdict[1:]}: {answer.note}; best in {answer.view}, {place}.")
        start = time.perf_counter()
        self.scene.paint(self._light(asked, answer))
        say(f"asked '{answer.text}': {time.perf_counter() - start:.2f} s for the colours of all shards")
        self.again()

    def prepare(self) -> None:
        """Ask something beforehand, beside all else, so that the first question takes no longer than any other."""
        if self.run.shards.codec is None:
            return

        def ask() -> None:
            asked = self.run.questions(["thing"])
            self._light(asked, self.run.answer(asked))

        self.asking.put(None, lambda: attempt(ask, lambda _: None))  # what is wrong is said when somebody asks

    def _light(self, asked: Phrases, answer: Answer) -> Callable[[int, int, np.ndarray], np.ndarray]:
        """Give what colours a shard by the question; what is not there lights nothing."""
        asker, level = self.run.asker, answer.level
        everywhere = np.concatenate([found[0, level].numpy()[::64] for found in asker.relevancy(asked)])
        low, peak = float(np.quantile(everywhere, 0.01)), max(float(everywhere.max()), answer.score)
        threshold = max(NEUTRAL + LEAST_ABOVE, low + SHARE * (peak - low))
        threshold = 1.1 if answer.verdict == "not in this scene" else threshold

        def light(number: int, detail: int, rgb: np.ndarray) -> np.ndarray:
            scores = asker.shard_relevancy(number, asked, detail)[0, level].numpy()
            return colours.relevancy_colours(scores, threshold, max(LEAST_TOP, peak), rgb)

        return light

    def clear(self) -> None:
        """Take the question off and show the scene as it is."""
        self.text.value, self.answer = "", None
        self.scene.paint(None)
        self.tell("Type what you are looking for.")
        self.again()

    def _go(self, page: viser.ClientHandle | None) -> None:
        """Move a page to the view that shows the answer best."""
        if page is None or self.answer is None:
            raise LangfieldError("nothing was asked yet", remedy="type what you are looking for")
        answer, camera = self.answer, self.run.views[self.answer.view]
        eye = camera.T_world_camera[:3, 3].double().numpy()
        away = 1.0 if answer.position is None else float(np.linalg.norm(np.array(answer.position) - eye))
        cameras.move(page, cameras.view_pose(camera, cameras.world_up(self.run.frames), away))
        self._moved(page)  # the page itself may be slow to say so

    def stop(self) -> None:
        """Close the page and every connection to it."""
        for moved in self._moves.values():
            moved.set()
        self._moves.clear()
        self.refining.stop()
        self.asking.stop()
        if self.panel is not None:
            self.panel.stop()
        if self._server is not None:
            self._server.stop()
        self._server = None


def serve_shards(run: ShardedRun, settings: ViewerSettings, share_minutes: float | None = None) -> None:
    """Serve a sharded run until interrupted, saying where it can be opened.

    Raises:
        EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
    """
    app = ShardApp(run, settings)
    app.start()
    app.prepare()
    try:
        invite(app, settings.host, share_minutes)
        threading.Event().wait()
    finally:
        app.stop()
