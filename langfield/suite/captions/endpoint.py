"""Any server that speaks the OpenAI chat protocol: hosted models, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from langfield.artefacts import content_key
from langfield.errors import EnvironmentProblem, SettingsError
from langfield.suite.captions.endpoint_settings import EndpointSettings, read_endpoint
from langfield.suite.captions.retry import Again, Retries
from langfield.suite.captions.types import Speechless, tidy

VERSION = 1  # of how pictures and prompts are sent: raised whenever the same settings would send something else
MAX_REPLY_BYTES = 2**20
BUSY = (429, 503, 529)
PASSING = (408, 409, 425, 500, 502, 504)


@dataclass(frozen=True)
class Costs:
    """What an endpoint has been asked for so far."""

    requests: int = 0
    """Requests sent, failed ones included."""
    captions: int = 0
    """Replies that could be used."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Tokens as the server counts them, of every reply that was received."""
    price: float = 0.0
    """Those tokens at the prices of the settings."""


class Endpoint:
    """Captioner over HTTP; threads share it.

    Args:
        settings: where and how.
        retries: how failures are waited out; made from the settings by default.
    """

    def __init__(self, settings: EndpointSettings, retries: Retries | None = None) -> None:
        import httpx2

        self.name = f"endpoint:{settings.model}"
        self.parallel = settings.parallel
        self.identity: dict[str, Any] = {
            "captioner": "endpoint", "model": settings.model, "max_tokens": settings.max_tokens,
            "temperature": settings.temperature, "side_px": settings.side_px, "version": VERSION,
        }  # fmt: skip
        self.provenance: dict[str, Any] = {**self.identity, "base_url": settings.base_url}
        self._settings, self._retries = settings, retries or Retries(settings.retry)
        self._url = settings.base_url.rstrip("/") + "/chat/completions"
        self._key = settings.key()
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        self._client = httpx2.Client(
            timeout=settings.timeout_s, headers=headers, trust_env=False, proxy=settings.proxy, follow_redirects=False
        )
        self._slots, self._lock, self._costs = BoundedSemaphore(settings.parallel), Lock(), Costs()

    def caption(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
        """Give one tidy line of words; see `Captioner`."""
        payload = self._payload(images, prompt)
        return self._retries.run(lambda: self._attempt(payload), content_key(payload))

    def costs(self) -> Costs:
        """Give what has been asked for and paid so far."""
        with self._lock:
            return self._costs

    def _payload(self, images: Sequence[np.ndarray], prompt: str) -> dict[str, Any]:
        settings = self._settings
        pictures = [{"type": "image_url", "image_url": {"url": data_url(i, settings.side_px)}} for i in images]
        content = [*pictures, {"type": "text", "text": prompt}] if pictures else prompt
        limits: dict[str, Any] = {settings.limit_field: settings.max_tokens}
        if settings.temperature is not None:
            limits["temperature"] = settings.temperature
        return {"model": settings.model, "messages": [{"role": "user", "content": content}], **limits}

    def _attempt(self, payload: dict[str, Any]) -> str:
        with self._slots:
            self._count(requests=1)
            status, headers, body = self._send(payload)
        if status != 200:
            raise self._failure(status, headers, body)
        try:
            reply = parse(body)
            self._count(tokens_in=tokens(reply, "prompt_tokens"), tokens_out=tokens(reply, "completion_tokens"))
            content, cut = content_of(reply)
            words = tidy(content, cut)
        except Speechless as error:
            raise Again(Speechless(f"the reply cannot be used: {error.what}", self._settings.base_url)) from error
        self._count(captions=1)
        return words

    def _send(self, payload: dict[str, Any]) -> tuple[int, Any, bytes]:
        import httpx2

        limit = time.monotonic() + self._settings.timeout_s
        where = self._settings.base_url
        try:
            with self._client.stream("POST", self._url, json=payload) as response:
                body = bytearray()
                for block in response.iter_raw():
                    body += block
                    if time.monotonic() > limit:
                        raise httpx2.ReadTimeout("the reply comes too slowly")
                    if len(body) > MAX_REPLY_BYTES:
                        raise Again(Speechless(f"the reply has more than {MAX_REPLY_BYTES} bytes", where))
                return response.status_code, response.headers, bytes(body)
        except httpx2.TimeoutException as error:
            problem = EnvironmentProblem(f"no answer within {self._settings.timeout_s:g} seconds", where, "look at it")
            raise Again(problem) from error
        except (httpx2.TransportError, OSError) as error:
            remedy = "check that the server runs and the address is right"
            raise Again(EnvironmentProblem(f"the endpoint cannot be reached: {error}", where, remedy)) from error

    def _failure(self, status: int, headers: Any, body: bytes) -> Exception:
        """Say what a status means: try again, or an error that another attempt would meet too."""
        where, said = self._settings.base_url, self._said(body)
        if status in BUSY and "insufficient_quota" not in said:
            error = EnvironmentProblem(f"the endpoint is busy (status {status}): {said}", where, "run it again later")
            return Again(error, retry_after_s(headers), everyone=True)
        if status in PASSING:
            return Again(EnvironmentProblem(f"the endpoint failed (status {status}): {said}", where))
        if status in BUSY:
            return EnvironmentProblem(f"the endpoint's quota is used up: {said}", where)
        if status in (401, 403):
            return SettingsError(f"the endpoint refuses the key (status {status}): {said}", where, "check key_file")
        return SettingsError(f"the endpoint refuses the request (status {status}): {said}", where, "check its settings")

    def _said(self, body: bytes) -> str:
        """Give the first words of an error's body, without the key."""
        text = body.decode(errors="replace")
        text = text.replace(self._key, "[key]") if self._key else text
        return " ".join("".join(c if c.isprintable() else " " for c in text[:2000]).split())[:200] or "no reason given"

    def _count(self, **more: int) -> None:
        with self._lock:
            now = self._costs
            counts = {name: getattr(now, name) + amount for name, amount in more.items()}
            now = replace(now, **counts)
            money = now.tokens_in * self._settings.price_in + now.tokens_out * self._settings.price_out
            self._costs = replace(now, price=money / 1e6)


def data_url(image: UInt8[np.ndarray, "h w 3"], side_px: int) -> str:
    """Give a picture as a PNG in a data URL, its longer side at most `side_px`."""
    picture = Image.fromarray(image)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "png")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def parse(body: bytes) -> dict[str, Any]:
    """Give a reply's JSON object.

    Raises:
        Speechless: it is none.
    """
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Speechless(f"it is no JSON ({str(error)[:80]})") from error
    if not isinstance(reply, dict):
        raise Speechless("it is no JSON object")
    return reply


def content_of(reply: dict[str, Any]) -> tuple[str, bool]:
    """Give the words of the first choice, which some servers send in parts, and whether the limit of tokens cut them.

    Raises:
        Speechless: there are none.
    """
    choices = reply.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        raise Speechless("it has no choices[0].message.content")
    return content, isinstance(first, dict) and first.get("finish_reason") == "length"


def tokens(reply: dict[str, Any], name: str) -> int:
    """Give a count of the reply's usage, 0 where it is missing or no count."""
    usage = reply.get("usage")
    count = usage.get(name) if isinstance(usage, dict) else 0
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**40 else 0


def retry_after_s(headers: Any, now_s: float | None = None) -> float:
    """Give the seconds that a Retry-After header asks for, as a number or a date; 0 where there is none."""
    value = str(headers.get("retry-after", "")).strip()
    if value.replace(".", "", 1).isdecimal() and value.isascii():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - (time.time() if now_s is None else now_s))
    except (ValueError, TypeError, OverflowError):
        return 0.0


def load(where: str) -> Endpoint:
    """Make the captioner from a settings file.

    Raises:
        FormatError: no JSON, or the key file is not one.
        SettingsError: a setting is unknown, missing or out of range.
    """
    return Endpoint(read_endpoint(Path(where)))
