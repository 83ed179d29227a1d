"""Frames over a loopback socket: a source that a sender fills, one sender at a time, known by a token.

The sender greets with a version and the token, then sends one message a frame and waits for its answer; that comes when
there is room, so a slow map slows the sender. It may go and come back; frames go on in the order they are taken.
"""

from __future__ import annotations

import hmac
import queue
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from langfield.capture.rgbd import FrameSource, RgbdFrame
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.online import wire

HOST = "127.0.0.1"
VERSION = 1
LEAST_TOKEN = 16
BACKLOG = 4
POLL_S = 0.2


@dataclass(frozen=True)
class SocketSettings:
    """How patient the receiver is."""

    port: int = 0
    """0: any free one."""
    room: int = 4
    """Frames that wait to be mapped; the sender waits when there are so many."""
    greet_s: float = 5.0
    """A stranger who has not shown the token by then is sent away, seconds."""
    message_s: float = 30.0
    """A message must have come as a whole by then, seconds from its first byte."""
    absent_s: float = 60.0
    """The stream ends when no frame came for so long, seconds."""


class _Gone(Exception):
    """The other side closed, or took too long."""


class SocketSource:
    """A stream of frames that a sender on this machine delivers; a context manager that frees its port.

    Iterating gives frames as they come, raises FormatError for a frame that was refused and goes on after it, and stops
    when the sender says so or stays away; `ending` then says why.
    """

    name = "frames from a sender"
    unit = "metre"
    count: int | None = None
    """Unknown before the end."""

    def __init__(self, token: str | None = None, settings: SocketSettings | None = None) -> None:
        """Bind and listen.

        Args:
            token: what a sender must show, at least 16 characters; made up where none is given.
            settings: see `SocketSettings`.

        Raises:
            SettingsError: the token is too short to be a secret, or `room` is no number of frames.
            EnvironmentProblem: the port is taken.
        """
        self.token = token if token is not None else secrets.token_urlsafe(24)
        self.settings = settings or SocketSettings()
        self.ending = ""
        if len(self.token) < LEAST_TOKEN or self.settings.room < 1:
            raise SettingsError(f"a token needs {LEAST_TOKEN} characters, and there must be room for a frame", "token")
        self._frames: queue.Queue[RgbdFrame | FormatError | None] = queue.Queue(self.settings.room)
        self._closed, self._busy = threading.Event(), threading.Lock()
        self._strangers = threading.Semaphore(BACKLOG)
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._listener.bind((HOST, self.settings.port))
        except (OSError, OverflowError) as error:
            self._listener.close()
            raise EnvironmentProblem("port cannot be used", self.settings.port, "choose another port or 0") from error
        self.address: tuple[str, int] = (HOST, self._listener.getsockname()[1])
        self._listener.listen(BACKLOG)
        self._listener.settimeout(POLL_S)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> SocketSource:
        """Give itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Send the sender away and free the port; a second time does nothing."""
        self._closed.set()
        with suppress(OSError):
            self._listener.close()

    def __iter__(self) -> Iterator[RgbdFrame]:
        """Give frames as they come."""
        return self

    def __next__(self) -> RgbdFrame:
        """Wait for the next frame.

        Raises:
            FormatError: the next frame was refused.
            StopIteration: the stream has ended.
        """
        item = self._waited()
        if item is None:
            self.close()
            raise StopIteration
        if isinstance(item, FormatError):
            raise item
        return item

    def _waited(self) -> RgbdFrame | FormatError | None:
        """Give what comes next; None at the end, when closed, or when nothing comes."""
        deadline = time.monotonic() + self.settings.absent_s
        while time.monotonic() < deadline:
            try:
                return self._frames.get(timeout=POLL_S)
            except queue.Empty:
                if self._closed.is_set():
                    return None
        self.ending = f"no frame came for {self.settings.absent_s:g} s"
        return None

    def _accept(self) -> None:
        """Let senders in, each in a thread of its own; strangers beyond a few wait at the door."""
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if self._strangers.acquire(blocking=False):
                threading.Thread(target=self._meet, args=(connection,), daemon=True).start()
            else:
                connection.close()

    def _meet(self, connection: socket.socket) -> None:
        """Serve one connection from its greeting to its end."""
        admitted = False
        with connection:
            try:
                try:
                    admitted = self._greeted(connection)
                finally:
                    self._strangers.release()
                while admitted and not self._closed.is_set() and self._one_message(connection):
                    pass
            except FormatError as error:
                with suppress(_Gone, OSError):
                    _answer(connection, {"error": str(error)})
                    if admitted:
                        self._deliver(error)
            except (_Gone, OSError):
                pass
            finally:
                if admitted:
                    self._busy.release()

    def _greeted(self, connection: socket.socket) -> bool:
        """Check version and token, and that no other sender is here."""
        deadline = time.monotonic() + self.settings.greet_s
        header = wire.read_header(lambda n: self._receive(connection, n, deadline))
        token = header.get("token")
        given = token.encode(errors="replace") if isinstance(token, str) else b""
        if not hmac.compare_digest(given, self.token.encode()):
            _answer(connection, {"error": "the token is not the one the receiver printed"})
            return False
        if header.get("langfield") != VERSION:
            _answer(connection, {"error": f"the receiver speaks version {VERSION} of this protocol"})
            return False
        if not self._busy.acquire(timeout=POLL_S):
            _answer(connection, {"error": "another sender is connected"})
            return False
        try:
            _answer(connection, {"langfield": VERSION})
        except OSError:
            self._busy.release()
            raise
        return True

    def _one_message(self, connection: socket.socket) -> bool:
        """Take one frame and answer; False after the last."""
        first = self._receive(connection, 1, None)
        deadline, rest = time.monotonic() + self.settings.message_s, [first]

        def receive(n: int) -> bytes:
            start = rest.pop() if rest else b""
            return start + self._receive(connection, n - len(start), deadline)

        header = wire.read_header(receive)
        if header.get("end") is True:
            self.ending = "the sender said it was the end"
            self._deliver(None)
            _answer(connection, {"taken": None})
            return False
        head = wire.checked(header)
        parts = wire.read_parts(head, receive)
        try:
            frame: RgbdFrame | FormatError = wire.decoded(head, *parts)
        except FormatError as error:
            frame = error
        self._deliver(frame)
        refused = isinstance(frame, FormatError)
        _answer(connection, {"refused": str(frame)} if refused else {"taken": head.index})
        return True

    def _deliver(self, item: RgbdFrame | FormatError | None) -> None:
        """Put a frame where the map takes it from, waiting for room."""
        while not self._closed.is_set():
            try:
                return self._frames.put(item, timeout=POLL_S)
            except queue.Full:
                continue
        raise _Gone

    def _receive(self, connection: socket.socket, count: int, deadline: float | None) -> bytes:
        """Give exactly `count` bytes by the deadline (None: whenever they come)."""
        data = bytearray()
        while len(data) < count:
            if self._closed.is_set() or (deadline is not None and time.monotonic() > deadline):
                raise _Gone
            connection.settimeout(POLL_S)
            try:
                piece = connection.recv(count - len(data))
            except TimeoutError:
                continue
            if not piece:
                raise _Gone
            data += piece
        return bytes(data)


def _answer(connection: socket.socket, answer: dict[str, Any]) -> None:
    connection.settimeout(POLL_S * 25)
    connection.sendall(wire.pack(answer))


def send_frames(
    address: tuple[str, int],
    token: str,
    source: FrameSource,
    encoding: wire.Encoding = "raw",
    patience_s: float = 120.0,
) -> tuple[int, list[str]]:
    """Send a stream's frames to a `SocketSource` and say that it was the end; waits where the receiver is busy.

    Args:
        address: host and port, as the receiver printed.
        token: as the receiver printed.
        source: frames that cannot be read are left out.
        encoding: of the pictures, see `wire.message`.
        patience_s: how long to wait for an answer, seconds.

    Returns:
        how many frames were taken, and what was said about those that were not.

    Raises:
        EnvironmentProblem: nobody listens there, the receiver sent this sender away, or it went away.
    """
    taken, complaints, frames = 0, [], iter(source)
    try:
        with socket.create_connection(address, patience_s) as connection:
            _ask(connection, wire.pack({"langfield": VERSION, "token": token}))
            while True:
                try:
                    frame = next(frames, None)
                    data = wire.message(frame, encoding) if frame is not None else b""
                except FormatError as error:
                    complaints.append(str(error))
                    continue
                if frame is None:
                    break
                said = _ask(connection, data)
                taken += "taken" in said
                complaints += [str(said["refused"])] if "refused" in said else []
            _ask(connection, wire.pack({"end": True}))
    except (OSError, FormatError) as error:
        what = f"frames cannot be sent: {error}"
        raise EnvironmentProblem(what, f"{address[0]}:{address[1]}", "see that the receiver is running") from error
    return taken, complaints


def _ask(connection: socket.socket, message: bytes) -> dict[str, Any]:
    """Send one message and give the answer."""
    connection.sendall(message)

    def receive(count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = connection.recv(count - len(data))
            if not piece:
                raise ConnectionError("the receiver closed the connection")
            data += piece
        return data

    said = wire.read_header(receive)
    if "error" in said:
        raise ConnectionError(f"the receiver refuses: {str(said['error'])[:300]}")
    return said
