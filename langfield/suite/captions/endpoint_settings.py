"""Where an OpenAI-compatible server is and how it is asked: a JSON file, checked when it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from langfield.artefacts import read_json
from langfield.errors import FormatError, SettingsError
from langfield.suite.captions.retry import RetrySettings

MAX_SETTINGS_BYTES = 64 * 1024
MAX_KEY_BYTES = 4096


@dataclass(frozen=True)
class EndpointSettings:
    """One model behind one address."""

    base_url: str
    """Address up to and with the version, such as "http://127.0.0.1:8000/v1" (vLLM) or ".../11434/v1" (Ollama)."""
    model: str
    """Name the server knows the model by."""
    key_file: Path | None = None
    """File that holds the key alone; None where the server wants none. In a settings file relative to it."""
    timeout_s: float = 120.0
    """Seconds one attempt may take, from sending to the last byte."""
    parallel: int = 4
    """Requests that may be under way at the same time."""
    max_tokens: int = 128
    """Longest reply, tokens."""
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls that limit."""
    temperature: float | None = 0.0
    """Sampling temperature; null leaves it to the server."""
    side_px: int = 768
    """Pictures whose longer side is above this are sent smaller."""
    price_in: float = 0.0
    """Price of a million tokens sent, in any currency."""
    price_out: float = 0.0
    """Price of a million tokens received."""
    proxy: str | None = None
    """Address of a proxy; variables of the environment are not read."""
    retry: RetrySettings = field(default_factory=RetrySettings)
    """How often and how patiently a failed request is made again."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise SettingsError("the address of an endpoint must be http(s)://HOST[:PORT]/PATH", self.base_url)
        if self.key_file and parts.scheme != "https" and not is_loopback(parts.hostname):
            raise SettingsError(
                "a key would travel unencrypted to another machine", self.base_url, "use https, or no key_file"
            )
        ranges = {
            "timeout_s": (0.01, 3600), "parallel": (1, 64), "max_tokens": (1, 8192), "side_px": (32, 4096),
            "price_in": (0, 1e6), "price_out": (0, 1e6),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise SettingsError(f"{name} must lie between {low} and {high}", getattr(self, name))
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise SettingsError("temperature must lie between 0 and 2", self.temperature)
        if not self.model:
            raise SettingsError("an endpoint needs the name of a model", self.base_url)

    def key(self) -> str | None:
        """Read the key.

        Raises:
            FormatError: the file is missing, long, or not one line of printable ASCII.
        """
        if self.key_file is None:
            return None
        if not self.key_file.is_file() or self.key_file.stat().st_size > MAX_KEY_BYTES:
            raise FormatError(f"a key file must exist and have at most {MAX_KEY_BYTES} bytes", self.key_file)
        key = self.key_file.read_bytes().strip()
        if not key or not all(33 <= byte <= 126 for byte in key):
            raise FormatError("a key must be one word of printable ASCII", self.key_file)
        return key.decode("ascii")


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, by its name or address alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def read_endpoint(path: Path) -> EndpointSettings:
    """Read settings from a JSON object whose names are those of `EndpointSettings`, "retry" an object of its own.

    Raises:
        FormatError: no JSON object.
        SettingsError: a name is unknown, missing or of another type, or a value out of range.
    """
    data = read_json(path, MAX_SETTINGS_BYTES)
    if not isinstance(data, dict):
        raise FormatError("settings of an endpoint must be a JSON object", path)
    retry = _typed(RetrySettings, data.pop("retry", {}), path)
    values = _typed(EndpointSettings, data, path)
    missing = {"base_url", "model"} - set(values)
    if missing:
        raise SettingsError(f"settings of an endpoint lack {sorted(missing)}", path)
    settings = EndpointSettings(**values, retry=RetrySettings(**retry))
    return replace(settings, key_file=path.parent / settings.key_file) if settings.key_file else settings


def _typed(kind: type, data: Any, path: Path) -> dict[str, Any]:
    """Check names and types against the annotations of a dataclass."""
    types: dict[str, tuple[type, ...]] = {
        "str": (str,), "int": (int,), "float": (int, float), "Path | None": (str, type(None)),
        "float | None": (int, float, type(None)), "str | None": (str, type(None)),
    }  # fmt: skip
    known = {f.name: str(f.type) for f in fields(kind) if f.name != "retry"}
    if not isinstance(data, dict) or set(data) - set(known):
        raise SettingsError(f"settings known here are {', '.join(known)}", path)
    for name, value in data.items():
        if not isinstance(value, types.get(known[name], (str,))) or isinstance(value, bool):
            raise SettingsError(f"{name} must be {known[name]}", path)
    if data.get("limit_field", "max_tokens") not in ("max_tokens", "max_completion_tokens"):
        raise SettingsError("limit_field must be max_tokens or max_completion_tokens", path)
    return {k: Path(v) if known[k].startswith("Path") and v is not None else v for k, v in data.items()}
