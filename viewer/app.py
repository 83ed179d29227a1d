"""The page itself: a local server, the scene, the panel; `langfield view RUN` ends here."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from itertools import count

import numpy as np
import viser

from langfield.errors import LangfieldError
from langfield.field.at_time import at_time
from langfield.field.types import Field
from langfield.run import Run
from langfield.viewer import cameras
from langfield.viewer.asking import Asker, Encoders
from langfield.viewer.desk import Desk
from langfield.viewer.entrance import SETTINGS, ViewerSettings, invite, is_loopback, open_server, url_of
from langfield.viewer.gate import Gate, Key
from langfield.viewer.guard import GuardedServer
from langfield.viewer.newest import Newest
from langfield.viewer.panels.ask import AskPanel
from langfield.viewer.panels.diagnose import DiagnosePanel
from langfield.viewer.panels.edit import EditPanel
from langfield.viewer.panels.find import FindPanel
from langfield.viewer.panels.help import HelpPanel, commands
from langfield.viewer.panels.query import QueryPanel
from langfield.viewer.panels.select import SelectPanel
from langfield.viewer.panels.show import ShowPanel
from langfield.viewer.panels.status import StatusPanel
from langfield.viewer.panels.teach import TeachPanel
from langfield.viewer.panels.time import TimePanel
from langfield.viewer.panels.views import ViewsPanel
from langfield.viewer.places import Ground
from langfield.viewer.rows import Rows
from langfield.viewer.splats import SplatScene
from langfield.viewer.traffic import Traffic

LOOK_EVERY_S = 2.0


class ViewerApp:
    """A run in the browser; `start` returns at once, so that tests and notebooks can go on."""

    def __init__(self, run: Run, settings: ViewerSettings = SETTINGS) -> None:
        self._run, self._settings = run, settings
        self._server: GuardedServer | None = None
        self._desk: Desk | None = None
        self.panels: Panels | None = None
        self.gate = Gate(is_loopback(settings.host), settings.limits)
        self.traffic = Traffic()
        self.newest = Newest()
        self._numbers = count(1)

    @property
    def desk(self) -> Desk:
        """The page's state and what can be done to it.

        Raises:
            LangfieldError: the page is not being served.
        """
        if self._desk is None:
            raise LangfieldError("the viewer is not running", remedy="call start() first")
        return self._desk

    @property
    def port(self) -> int:
        """The port listened on; 0 before the start."""
        return self._server.get_port() if self._server else 0

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
        still = at_time(self._run.field, None)
        self.scene = SplatScene(server, still.gaussians)
        ground = Ground(still.gaussians, self._run.frames)
        self._look(server, still)
        run, spec = self._run, self._settings.text_encoder
        self._encoders = Encoders(cache(lambda: run.text_encoder(spec)), cache(run.image_encoder))
        self._desk = Desk(self._run, Asker(still, ground, self._encoders), self.scene)
        self.panels = Panels(self._desk, server, self.newest, self._settings)
        self._desk.refresh()
        desk = self._desk
        # Not said here: this is the thread that sends, and the page may be busy with a question.
        self.gate.tell = lambda text: self.newest.put(None, partial(desk.tell, f"⚠ {text[0].upper()}{text[1:]}."))

    def _look(self, server: viser.ViserServer, still: Field) -> None:
        """Orient the world and start every page from the training view that shows most."""
        run, up, gaussians = self._run, cameras.world_up(self._run.frames), still.gaussians
        server.scene.set_up_direction(up)
        trained = [f for f in run.frames if f.name in run.training_names] or list(run.frames)
        frame = Ground(gaussians, trained).best_view(np.arange(len(gaussians))) if trained else None
        if frame is None:
            cameras.set_initial(server, cameras.default_pose(gaussians, up))
        else:
            distance = cameras.distance_seen(frame.camera, gaussians)
            cameras.set_initial(server, cameras.view_pose(frame.camera, up, distance))

    def adopt(self, run: Run) -> None:
        """Show another state of the run, such as a later snapshot; its questions are asked again."""
        server, desk, time_s = self._started(), self.desk, self.desk.time_s
        still = at_time(run.field, time_s)
        asker = Asker(still, Ground(still.gaussians, run.frames), self._encoders)
        with desk.asking:
            answers = desk.asked_again(asker)
            with server.atomic():  # a slow page would draw both for a while
                old, self.scene = self.scene, SplatScene(server, still.gaussians, f"/splats_{next(self._numbers)}")
                try:
                    desk.adopt(run, asker, self.scene, answers)
                finally:
                    old.remove()
            if desk.time_s is not None and desk.time_s != time_s:  # chosen meanwhile
                desk.go_to(desk.time_s)

    def _started(self) -> GuardedServer:
        if self._server is None:
            raise LangfieldError("the viewer is not running", remedy="call start() first")
        return self._server

    def ask(self, text: str) -> None:
        """Ask as the text box does; what comes of it, errors too, stands on the page."""
        self.desk.guarded(lambda: self.desk.ask(text))

    def stop(self) -> None:
        """Close the page and every connection to it."""
        self.newest.stop()
        if self._server is not None:
            self._server.stop()
        self._server = self._desk = self.panels = None


class Panels:
    """All panels, in the order they are shown in."""

    def __init__(self, desk: Desk, server: viser.ViserServer, newest: Newest, settings: ViewerSettings) -> None:
        self.status = StatusPanel(desk, server)
        tabs = server.gui.add_tab_group()
        with tabs.add_tab("Ask", viser.Icon.SEARCH):
            self.ask = AskPanel(desk, server, newest)
            self.query = QueryPanel(desk, server, settings.texts)
            self.show = ShowPanel(desk, server)
        with tabs.add_tab("Select", viser.Icon.POINTER):
            self.select = SelectPanel(desk, server)
        with tabs.add_tab("Teach", viser.Icon.SCHOOL):
            self.teach = TeachPanel(desk, server)
        with tabs.add_tab("Find", viser.Icon.LIST_SEARCH):
            self.find = FindPanel(desk, server, self._look_at)
        with tabs.add_tab("Diagnose", viser.Icon.STETHOSCOPE):
            self.diagnose = DiagnosePanel(desk, server, self._look_at, settings.encoders)
        with tabs.add_tab("Edit", viser.Icon.PENCIL):
            self.edit = EditPanel(desk, server)
        with tabs.add_tab("Views", viser.Icon.CAMERA):
            self.views = ViewsPanel(desk, server)
        self.time = TimePanel(desk, server, newest, tabs)
        with tabs.add_tab("Help", viser.Icon.HELP):
            self.help = HelpPanel(desk, server, commands(desk, self.select, self.views))
        self.undo = server.gui.add_button("Undo", icon=viser.Icon.ARROW_BACK_UP, color="gray")
        self.redo = server.gui.add_button("Redo", icon=viser.Icon.ARROW_FORWARD_UP, color="gray")
        self.undo.on_click(lambda _: desk.guarded(desk.undo))
        self.redo.on_click(lambda _: desk.guarded(desk.redo))

    def _look_at(self, client: viser.ClientHandle | None, rows: Rows) -> None:
        self.views.look_at(client, rows)


def serve(
    run: Run,
    settings: ViewerSettings,
    share_minutes: float | None = None,
    newer: Callable[[], Run | None] | None = None,
) -> None:
    """Serve a run until interrupted, saying where it can be opened.

    Args:
        run: what to show.
        settings: how.
        share_minutes: also print a link that only allows to look around, for so long.
        newer: asked every two seconds for a newer state of the run.

    Raises:
        EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
    """
    app = ViewerApp(run, settings)
    app.start()
    try:
        invite(app, settings.host, share_minutes)
        while True:
            time.sleep(LOOK_EVERY_S)
            later = newer() if newer is not None else None
            if later is not None:
                app.desk.guarded(partial(app.adopt, later))
    finally:
        app.stop()
