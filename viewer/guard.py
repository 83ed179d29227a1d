"""Puts the gate in front of viser's socket; viser has no hook for it, so its call of `websockets.serve` gets one."""

from __future__ import annotations

import asyncio
import http
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import viser
import websockets.asyncio.server as transport
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from langfield.errors import EnvironmentProblem
from langfield.viewer import page
from langfield.viewer.gate import Door, Gate, Key, Knock, Refusal
from langfield.viewer.traffic import Traffic

BUILDING = threading.Lock()
POLICY = (
    "default-src 'self' blob: data: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' blob: data: ws: wss:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


class GuardedServer(viser.ViserServer):
    """viser's server behind the gate, without the public tunnel that any page could open.

    Raises:
        EnvironmentProblem: this viser opens its socket in a way the gate does not know; nothing is served then.
    """

    def __init__(self, gate: Gate, traffic: Traffic, host: str, port: int) -> None:
        # viser prints an address without the token, which opens nothing.
        with _guarding(gate, traffic) as seen, redirect_stdout(io.StringIO()):
            super().__init__(host, port, label="langfield", verbose=False)
        if not seen:
            self.stop()
            raise EnvironmentProblem(
                "the viewer's gate does not fit this viser", f"viser {viser.__version__}", "pip install 'viser==1.1.1'"
            )

    def stop(self) -> None:
        """End; viser would say so among a command's results."""
        with redirect_stdout(io.StringIO()):
            super().stop()

    def request_share_url(self, verbose: bool = True) -> str | None:  # noqa: ARG002
        """Refuse."""
        return None


@contextmanager
def _guarding(gate: Gate, traffic: Traffic) -> Iterator[list[str]]:
    """While a server is built, let `websockets.serve` open only guarded sockets; yields what was guarded."""
    seen: list[str] = []
    with BUILDING:
        original = transport.serve

        def serve(handler: Any, host: Any = None, port: Any = None, *, process_request: Any, **rest: Any) -> Any:
            seen.append(f"{host}:{port}")
            guard = Guard(gate, traffic, handler, process_request)
            return original(
                guard.converse, host, port, process_request=guard.process_request,
                **{**rest, "max_size": gate.limits.message_bytes, "server_header": None},
            )  # fmt: skip

        transport.serve = serve  # pyright: ignore
        try:
            yield seen
        finally:
            transport.serve = original  # pyright: ignore


class Guard:
    """The two places where a connection meets the gate: its request, and each of its messages."""

    def __init__(self, gate: Gate, traffic: Traffic, handler: Callable[..., Any], pages: Callable[..., Any]) -> None:
        self._gate, self._traffic, self._handler, self._pages = gate, traffic, handler, pages

    def process_request(self, connection: transport.ServerConnection, request: Request) -> Response | None:
        """Refuse, serve a file, or let the handshake go on."""
        names = {name.lower() for name, _ in request.headers.raw_items()}
        knock = Knock(request.path, {name: request.headers.get_all(name) for name in names})
        found = self._gate.admit(knock)
        if isinstance(found, Refusal):
            self._gate.log.note(found)
            return _answer(found.status, found.reason)
        if knock.is_socket:
            connection.langfield_key = found  # pyright: ignore
            return None
        response = self._pages(connection, request)
        if response is None:
            return _answer(400, "not a request of a page")
        page.complete(response)
        for name, value in HEADERS.items():
            response.headers[name] = value
        if response.status_code == 200:
            age = "" if found.expires is None else f"; Max-Age={max(0, int(found.expires - self._gate.clock()))}"
            cookie = f"{self._gate.cookie}={found.secret}; Path=/; HttpOnly; SameSite=Strict{age}"
            response.headers["Set-Cookie"] = cookie
        return response

    async def converse(self, connection: transport.ServerConnection) -> None:
        """Let viser talk over a connection whose messages are judged, until its key expires."""
        key: Key = connection.langfield_key  # pyright: ignore
        if self._gate.inside >= self._gate.limits.clients:  # several handshakes may have been under way at once
            await connection.close(1013, "too many pages")
            return
        self._gate.inside += 1
        ending = None
        if key.expires is not None:
            ending = asyncio.get_running_loop().call_later(
                max(0.0, key.expires - self._gate.clock()), lambda: asyncio.ensure_future(connection.close(1008))
            )
        try:
            await self._handler(Judged(connection, Door(self._gate, key), self._gate, self._traffic))
        finally:
            self._gate.inside -= 1
            if ending is not None:
                ending.cancel()


class Judged:
    """A connection as viser sees it: what the door refuses never arrives, what is sent is counted."""

    def __init__(self, inner: transport.ServerConnection, door: Door, gate: Gate, traffic: Traffic) -> None:
        self._inner, self._door, self._gate, self._traffic = inner, door, gate, traffic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def recv(self) -> bytes:
        """Give the next message that may pass.

        Raises:
            websockets.ConnectionClosed: it has ended, or the door ended it.
        """
        while True:
            raw = await self._inner.recv()
            refusal = self._door.judge(raw)
            if refusal is None and isinstance(raw, bytes):
                self._traffic.arrived()
                return raw
            self._gate.log.note(refusal or Refusal(400, "not a message of a page"))
            if refusal is not None and refusal.status == 413:
                self._gate.tell(refusal.reason)
            if refusal is None or refusal.status == 400:
                await self._inner.close(1008, "refused")

    async def send(self, data: bytes) -> None:
        """Send and count."""
        await self._inner.send(data)
        self._traffic.sent(len(data))


def _answer(status: int, reason: str) -> Response:
    body = f"langfield: {reason}.\n".encode()
    headers = Headers({**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))})
    return Response(status, http.HTTPStatus(status).phrase, headers, body)
