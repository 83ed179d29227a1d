"""A server on loopback that speaks the OpenAI chat protocol, as well or as badly as a test wants."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from PIL import Image


@dataclass
class Reply:
    """What a request is answered with."""

    body: bytes | dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: Event | None = None
    """Nothing is sent before this is set."""
    drip_s: float = 0.0
    """Bytes are sent one by one with this many seconds between."""


def says(words: object, usage: object = None, **more: Any) -> Reply:
    """A well-formed completion."""
    usage = usage or {"prompt_tokens": 100, "completion_tokens": 10}
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"} | more
    return Reply({"choices": [choice], "usage": usage})


@dataclass
class Asked:
    """One request as it arrived."""

    payload: dict[str, Any]
    headers: dict[str, str]

    @property
    def content(self) -> Any:
        return self.payload["messages"][0]["content"]

    @property
    def prompt(self) -> str:
        return self.content if isinstance(self.content, str) else self.content[-1]["text"]

    @property
    def pictures(self) -> list[np.ndarray]:
        urls = [part["image_url"]["url"] for part in self.content if part["type"] == "image_url"]
        assert all(url.startswith("data:image/png;base64,") for url in urls)
        return [np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))) for url in urls]

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.payload, sort_keys=True).encode()).hexdigest()


class ChatServer:
    """What was asked, how many at once, and what was answered in full."""

    def __init__(self, answer: Callable[[Asked, int], Reply]) -> None:
        self.answer, self.lock = answer, Lock()
        self.asked: list[Asked] = []
        self.paid: list[str] = []
        """Key of every request whose reply of status 200 was begun to be sent."""
        self.busy = self.most_busy = 0
        self.url = ""


@contextmanager
def chat_server(answer: Callable[[Asked, int], Reply]) -> Iterator[ChatServer]:
    """Serve `answer(request, its number from 0)` on a free port of 127.0.0.1."""
    state = ChatServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
            assert self.path == "/v1/chat/completions"
            with state.lock:
                asked, number = Asked(payload, {k.lower(): v for k, v in self.headers.items()}), len(state.asked)
                state.asked.append(asked)
                state.busy += 1
                state.most_busy = max(state.most_busy, state.busy)
            reply = state.answer(asked, number)
            with state.lock:
                state.busy -= 1
            with suppress(BrokenPipeError, ConnectionResetError):
                self.reply(asked, reply)

        def reply(self, asked: Asked, reply: Reply) -> None:
            if reply.wait is not None:
                reply.wait.wait(30)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            with state.lock:
                if reply.status == 200:
                    state.paid.append(asked.key)
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()
            for block in [body[i : i + 1] for i in range(len(body))] if reply.drip_s else [body]:
                self.wfile.write(block)
                if reply.drip_s:
                    Event().wait(reply.drip_s)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
