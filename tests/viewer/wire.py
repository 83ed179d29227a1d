"""A page's side of the wire, spoken by hand: what tests and attackers send."""

from __future__ import annotations

from typing import Any

import msgspec.msgpack
import viser
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from langfield.viewer.app import ViewerApp
from langfield.viewer.gate import Key
from langfield.viewer.shard_app import ShardApp

CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, 3.0), "fov": 0.8,
    "near": 0.1, "far": 100.0, "image_height": 360, "image_width": 640, "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 1.0, 0.0),
}  # fmt: skip


def enter(app: ViewerApp | ShardApp, key: Key | None = None, headers: dict[str, str] | None = None) -> Connection:
    """Open a socket as a page with this key (the owner's by default) would; headers replace the usual ones."""
    secret = (key or app.gate.owner).secret
    usual = {"Cookie": f"{app.gate.cookie}={secret}", "Origin": f"http://127.0.0.1:{app.port}"}
    given = {**usual, **(headers or {})}
    return connect(
        f"ws://127.0.0.1:{app.port}", subprotocols=[f"viser-v{viser.__version__}"],  # pyright: ignore
        additional_headers={k: v for k, v in given.items() if v}, max_size=2**28, compression=None,
    )  # fmt: skip


def packed(kind: str | dict[str, Any], **fields: Any) -> bytes:
    """Give a message's bytes."""
    return msgspec.msgpack.encode(kind if isinstance(kind, dict) else {"type": kind, **fields})


def until_closed(socket: Connection, message: bytes | str) -> bool:
    """Send something and read on; tells whether the server ended the connection within ten seconds of silence."""
    try:
        socket.send(message)
        while True:
            socket.recv(timeout=10)
    except ConnectionClosed:
        return True
    except TimeoutError:
        return False


def say(socket: Connection, message: dict[str, Any]) -> None:
    """Send a message as the page does."""
    socket.send(packed(message))


def greet(socket: Connection) -> None:
    """Send the first camera, without which viser does not count a page as there."""
    say(socket, CAMERA)


def drain(socket: Connection, seconds: float = 0.3) -> int:
    """Read until nothing comes for a while; gives the bytes read."""
    total = 0
    try:
        while True:
            total += len(socket.recv(timeout=seconds))
    except TimeoutError:
        return total
