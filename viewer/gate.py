"""Who may come in: tokens, origins, limits, and which messages each role may send; all decided without a socket."""

from __future__ import annotations

import hmac
import ipaddress
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec.msgpack

from langfield.progress import say
from langfield.viewer.uploads import Uploads

Role = Literal["owner", "reader"]
LOOK = frozenset({"ViewerCameraMessage", "GetRenderResponseMessage", "FileTransferPartAck"})
"""Messages of somebody who only looks around."""
ACT = frozenset({
    "GuiUpdateMessage", "GuiFormSubmitMessage", "GuiFormDirtyMessage", "ScenePointerMessage", "CommandTriggerMessage",
    "FileTransferStartUpload", "FileTransferPart", "TransformControlsUpdateMessage",
    "TransformControlsDragStartMessage", "TransformControlsDragEndMessage",
})  # fmt: skip
ASKS = frozenset({"GuiFormSubmitMessage", "CommandTriggerMessage", "ScenePointerMessage", "FileTransferStartUpload"})
"""Messages that start work."""
MAY: dict[Role, frozenset[str]] = {"owner": LOOK | ACT, "reader": LOOK}
DEEPEST = 6
"""Messages nested deeper are no message of a page."""


@dataclass(frozen=True)
class Limits:
    """How much a page may ask of the server; what is beyond is refused."""

    clients: int = 16
    message_bytes: int = 8 * 2**20
    upload_bytes: int = 16 * 2**20
    text: int = 2048
    """Characters of any text in a message (a question has its own, lower limit)."""
    messages_per_s: float = 120.0
    asks_per_s: float = 10.0


LIMITS = Limits()


@dataclass(frozen=True)
class Key:
    """What opens the page, and as what."""

    secret: str
    role: Role
    expires: float | None = None
    """Seconds since the epoch; None as long as the server lives."""


@dataclass(frozen=True)
class Knock:
    """A request as far as the gate looks at it; headers by lower-case name."""

    target: str
    headers: dict[str, list[str]]

    @property
    def is_socket(self) -> bool:
        """Whether it asks for the WebSocket."""
        return any("websocket" in value.lower() for value in self.headers.get("upgrade", []))


@dataclass(frozen=True)
class Refusal:
    """Why somebody stays outside."""

    status: int
    reason: str


class Gate:
    """Keys, and what is decided by them; one per server."""

    def __init__(self, loopback: bool = True, limits: Limits = LIMITS, clock: Callable[[], float] = time.time) -> None:
        self.limits = limits
        self.log = RefusalLog()
        self.cookie = f"langfield_{secrets.token_hex(4)}"
        self.inside = 0
        """Connections open now."""
        self.tell: Callable[[str], object] = lambda _: None
        """Says on the page why an upload was refused."""
        self.clock = clock
        self._loopback = loopback
        self._keys = [Key(secrets.token_urlsafe(24), "owner")]

    @property
    def owner(self) -> Key:
        """The key of whoever started the server."""
        return self._keys[0]

    def issue(self, role: Role, minutes: float | None) -> Key:
        """Give a new key for somebody else."""
        key = Key(secrets.token_urlsafe(24), role, None if minutes is None else self.clock() + 60 * minutes)
        self._keys = [k for k in self._keys if not self.is_over(k)] + [key]
        return key

    def is_over(self, key: Key) -> bool:
        """Whether a key has expired."""
        return key.expires is not None and self.clock() >= key.expires

    def admit(self, knock: Knock) -> Key | Refusal:
        """Decide on a request: host, origin, key, and for sockets how many are inside."""
        hosts = knock.headers.get("host", [])
        if len(hosts) != 1 or (self._loopback and not is_this_machine(hosts[0])):
            return Refusal(403, "this address does not belong to the viewer")
        for origin in knock.headers.get("origin", []):
            if not knock.is_socket:
                break
            if urlsplit(origin).netloc.lower() != hosts[0].lower():
                return Refusal(403, "a page of another origin may not use the viewer")
        key = next((k for s in self._secrets(knock) for k in self._keys if hmac.compare_digest(k.secret, s)), None)
        if key is None:
            return Refusal(403, "the address lacks its token; open the one printed in the terminal")
        if self.is_over(key):
            return Refusal(403, "this link has expired; ask for a new one")
        if knock.is_socket and self.inside >= self.limits.clients:
            return Refusal(503, f"{self.limits.clients} pages are open already")
        return key

    def _secrets(self, knock: Knock) -> list[str]:
        query = parse_qs(urlsplit(knock.target).query, max_num_fields=16) if len(knock.target) < 2048 else {}
        cookies = [part.strip() for line in knock.headers.get("cookie", []) for part in line.split(";")]
        found = query.get("token", []) + [c.partition("=")[2] for c in cookies if c.startswith(self.cookie + "=")]
        return [s for s in found if s.isascii()]


class Bucket:
    """Lets through a steady rate, and a second's worth at once.

    Args:
        rate: a second.
        clock: in seconds.
        is_lenient: whether what is refused costs nothing; otherwise whoever floods gets nothing until it pauses.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic, is_lenient: bool = True) -> None:
        self._rate, self._clock, self._is_lenient = rate, clock, is_lenient
        self._left, self._last = rate, clock()

    def take(self) -> bool:
        """Take one where there is one."""
        now = self._clock()
        self._left = min(self._rate, self._left + (now - self._last) * self._rate)
        self._last = now
        if self._left < 1:
            self._left = self._left if self._is_lenient else 0.0
            return False
        self._left -= 1
        return True


class Door:
    """Judges the messages of one connection."""

    def __init__(self, gate: Gate, key: Key, clock: Callable[[], float] = time.monotonic) -> None:
        self._gate, self.key = gate, key
        self._all = Bucket(gate.limits.messages_per_s, clock)
        self._asks = Bucket(gate.limits.asks_per_s, clock, is_lenient=False)
        self._uploads = Uploads(gate.limits.upload_bytes)

    def judge(self, raw: object) -> Refusal | None:
        """Give None for a message that may pass; a refusal of status 400 means that the connection should end."""
        if self._gate.is_over(self.key):
            return Refusal(400, "the link has expired")
        if not isinstance(raw, bytes):
            return Refusal(400, "not a message of a page")
        if not self._all.take():
            return Refusal(429, "too many messages a second")
        try:
            message = msgspec.msgpack.decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return Refusal(400, "not a message of a page")
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str) or kind not in LOOK | ACT:
            return Refusal(400, "not a message of a page")
        if kind not in MAY[self.key.role]:
            return Refusal(403, "this link only allows to look around")
        if kind in ASKS and not self._asks.take():
            return Refusal(429, "too many questions a second")
        return self._content(kind, message)

    def _content(self, kind: str, message: dict[str, Any]) -> Refusal | None:
        limits = self._gate.limits
        if kind == "GuiUpdateMessage":
            updates = message.get("updates")
            if not isinstance(updates, dict) or set(updates) != {"value"}:
                return Refusal(403, "only values of controls may be set")
        if not is_sound(message, limits.text):
            return Refusal(403, "a text is too long or a number is not finite")
        if kind == "FileTransferStartUpload" and not self._uploads.begins(message):
            return Refusal(413, f"uploads are limited to {limits.upload_bytes >> 20} MiB")
        if kind == "FileTransferPart" and not self._uploads.takes(message):
            return Refusal(403, "a part of no announced upload")
        return None


def is_sound(value: Any, longest: int, depth: int = DEEPEST) -> bool:
    """Tell whether texts are short, numbers finite and nothing is deeply nested; raw bytes are left alone."""
    if isinstance(value, str):
        return len(value) <= longest
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (dict, list)):
        items: Iterable[Any] = (*value.keys(), *value.values()) if isinstance(value, dict) else value
        return depth > 0 and len(value) <= 64 and all(is_sound(v, longest, depth - 1) for v in items)
    return value is None or isinstance(value, (bool, int, bytes))


def is_this_machine(host: str) -> bool:
    """Tell whether a Host header names the loopback interface (also through a tunnel), so that no other name of it,
    which a hostile name server may give, opens the page."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class RefusalLog:
    """Says each kind of refusal once, and counts."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def note(self, refusal: Refusal) -> None:
        """Count it; say it if it is the first of its kind."""
        self.counts[refusal.reason] += 1
        if self.counts[refusal.reason] == 1:
            say(f"viewer: refused: {refusal.reason} (further ones are only counted)")
