"""The page itself: a local server, the scene, the panel; `langfield view RUN` ends here."""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import viser

from langfield.errors import EnvironmentProblem, LangfieldError, SettingsError
from langfield.progress import say
from langfield.raster.types import Gaussians
from langfield.run import Run
from langfield.viewer import cameras
from langfield.viewer.asking import Asker, best_view
from langfield.viewer.gate import LIMITS, Gate, Key, Limits
from langfield.viewer.guard import GuardedServer
from langfield.viewer.panel import Panel
from langfield.viewer.splats import SplatScene
from langfield.viewer.traffic import Traffic

MINIMUM_VISER = (1, 0, 25)
"""Older ones answer `GET /../..` with any file of the machine."""


@dataclass(frozen=True)
class ViewerSettings:
    """How the page is served."""

    host: str = "127.0.0.1"
    """Address to listen on; any other than this machine's own lets others on the network use the page."""
    port: int = 7007
    """The next free one is taken where it is in use; 0 takes any free one."""
    text_encoder: str | None = None
    """Text encoder to ask with; the run's own by default."""
    allow_network: bool = False
    """Listen on an address that others reach."""
    limits: Limits = LIMITS


class ViewerApp:
    """A run in the browser; `start` returns at once, so that tests and notebooks can go on."""

    def __init__(self, run: Run, settings: ViewerSettings = ViewerSettings()) -> None:
        self._run, self._settings = run, settings
        self._server: GuardedServer | None = None
        self.gate = Gate(is_loopback(settings.host), settings.limits)
        self.traffic = Traffic()
        self._panel: Panel | None = None

    @property
    def panel(self) -> Panel:
        """The page's controls.

        Raises:
            LangfieldError: the page is not being served.
        """
        if self._panel is None:
            raise LangfieldError("the viewer is not running", remedy="call start() first")
        return self._panel

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
        return f"http://{_in_url(self._settings.host)}:{self.port}/?token={key.secret}"

    def start(self) -> None:
        """Serve the page.

        Raises:
            EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
        """
        check_viser(version("viser"))
        check_address(self._settings.host, self._settings.allow_network)
        self._server = GuardedServer(self.gate, self.traffic, self._settings.host, self._settings.port)
        self._server.gui.configure_theme(
            control_layout="collapsible", dark_mode=True, show_logo=False, show_share_button=False
        )
        self.scene = SplatScene(self._server, self._run.field.gaussians)
        self._look(self._server)
        asker = Asker(self._run.field, lambda: self._run.text_encoder(self._settings.text_encoder))
        self._panel = Panel(self._server, self._run, asker, self.scene)

    def _look(self, server: viser.ViserServer) -> None:
        """Orient the world and start every page from the training view that shows most."""
        run, up = self._run, cameras.world_up(self._run.frames)
        server.scene.set_up_direction(up)
        trained = [f for f in run.frames if f.name in run.training_names] or list(run.frames)
        frame = best_view(trained, run.field.gaussians, _sample(run.field.gaussians))
        if frame is None:
            cameras.set_initial(server, cameras.default_pose(run.field.gaussians, up))
        else:
            distance = cameras.distance_seen(frame.camera, run.field.gaussians)
            cameras.set_initial(server, cameras.view_pose(frame.camera, up, distance))

    def ask(self, text: str) -> None:
        """Ask as the text box does; what comes of it, errors too, stands on the page."""
        self.panel.ask(text)

    def stop(self) -> None:
        """Close the page and every connection to it."""
        if self._server is not None:
            self._server.stop()
        self._server = self._panel = None


def serve(run: Run, settings: ViewerSettings, share_minutes: float | None = None) -> None:
    """Serve a run until interrupted, saying where it can be opened.

    Args:
        run: what to show.
        settings: how.
        share_minutes: also print a link that only allows to look around, for so long.

    Raises:
        EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
    """
    app = ViewerApp(run, settings)
    app.start()
    try:
        for line in invitation(app.url, app.port, settings.host):
            say(line)
        if share_minutes is not None:
            key = app.gate.issue("reader", share_minutes)
            say(f"to look around only, for {share_minutes:g} minutes: {app.link(key)}")
        threading.Event().wait()
    finally:
        app.stop()


def invitation(url: str, port: int, host: str) -> list[str]:
    """Give the lines that say how to open the page."""
    lines = [f"viewer: {url}   (Ctrl+C ends it)"]
    if is_loopback(host):
        here = socket.gethostname()
        lines.append(f"from another machine: ssh -L {port}:127.0.0.1:{port} {here}   then open the same address there")
    else:
        lines.append(
            f"WARNING: listening on {host}: whoever reaches this machine and knows the address above, or reads it off "
            "the network (it is not encrypted), can see the scene and use the page"
        )
    return lines


def check_viser(found: str) -> None:
    """Refuse a viser that serves the whole disk.

    Raises:
        EnvironmentProblem: it is older than 1.0.25.
    """
    numbers = tuple(int(n) for n in found.split(".")[:3] if n.isdigit())
    if numbers < MINIMUM_VISER:
        raise EnvironmentProblem(
            "this viser lets anybody who reaches it read every file of this machine",
            f"viser {found}",
            "pip install 'viser>=1.1'",
        )


def check_address(host: str, allow_network: bool = False) -> None:
    """Check that an address can be listened on (viser would try a thousand ports and then wait for ever).

    Raises:
        SettingsError: others reach it, and that was not allowed.
        EnvironmentProblem: it is not an address of this machine.
    """
    if not is_loopback(host) and not allow_network:
        raise SettingsError(
            "others on the network would reach the viewer", f"--host {host}",
            "add --allow-network if they may, or keep --host 127.0.0.1 and use the ssh line it prints",
        )  # fmt: skip
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot listen on this address: {error.strerror or error}", host, "use --host 127.0.0.1"
        ) from error


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 (shown, not bound)
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _sample(gaussians: Gaussians) -> np.ndarray:
    """Give at most some thousand rows, evenly spread, that stand for the whole scene."""
    return np.arange(0, len(gaussians), len(gaussians) // 4000 + 1)
