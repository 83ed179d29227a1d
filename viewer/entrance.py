"""How a page is opened: where it listens, what is refused beforehand, and what is said to whoever started it."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from langfield.errors import EnvironmentProblem, SettingsError
from langfield.progress import say
from langfield.viewer.gate import LIMITS, Gate, Key, Limits
from langfield.viewer.guard import GuardedServer
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
    texts: tuple[str, ...] = ()
    """Who may write descriptions and rewrites of questions, beside templates (`langfield.suite.textgen`)."""
    encoders: tuple[str, ...] = ()
    """Further image encoders that may tell things apart."""
    limits: Limits = LIMITS
    budget: int | None = None
    """Gaussians that a page of a run in shards has in sight at most; None: as many as it draws quickly."""


SETTINGS = ViewerSettings()


class Opened(Protocol):
    """A page that is served."""

    gate: Gate

    @property
    def port(self) -> int:
        """The port listened on."""
        ...

    def link(self, key: Key) -> str:
        """Give the address that a key opens."""
        ...


def open_server(gate: Gate, traffic: Traffic, settings: ViewerSettings) -> GuardedServer:
    """Listen, and show an empty panel.

    Raises:
        EnvironmentProblem: viser is too old to be safe, or the address cannot be listened on.
        SettingsError: others reach the address, and that was not allowed.
    """
    check_viser(version("viser"))
    check_address(settings.host, settings.allow_network)
    server = GuardedServer(gate, traffic, settings.host, settings.port)
    server.gui.configure_theme(control_width="large", dark_mode=True, show_logo=False, show_share_button=False)
    server.gui.main_panel.dock_right()
    return server


def invite(page: Opened, host: str, share_minutes: float | None) -> None:
    """Say where a page can be opened, and by others who only look around, for so many minutes."""
    for line in invitation(page.link(page.gate.owner), page.port, host):
        say(line)
    if share_minutes is not None:
        key = page.gate.issue("reader", share_minutes)
        say(f"to look around only, for {share_minutes:g} minutes: {page.link(key)}")


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


def url_of(host: str, port: int, key: Key) -> str:
    """Give the address that a key opens."""
    return f"http://{_in_url(host)}:{port}/?token={key.secret}"


def _in_url(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 (shown, not bound)
        return "localhost"
    return f"[{host}]" if ":" in host else host
