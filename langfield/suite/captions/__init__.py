"""Words for what an object does: pictures prompted, captioned, kept, and found again by a question."""

from __future__ import annotations

from importlib import import_module

from langfield.errors import SettingsError
from langfield.suite.captions.types import Captioner, Speechless

# What stands before the colon, to the module whose load(what stands behind it) makes the captioner.
CAPTIONERS: dict[str, str] = {
    "endpoint": "langfield.suite.captions.endpoint",
    "transformers": "langfield.suite.captions.vlm",
    "recorded": "langfield.suite.captions.recorded",
}


def captioner(spec: str) -> Captioner:
    """Make a captioner.

    Args:
        spec: "endpoint:SETTINGS.json" (`endpoint_settings.EndpointSettings`), "transformers:FOLDER" or
            "transformers:NAME[@REVISION]", "recorded:FILE.jsonl".

    Raises:
        SettingsError: no such captioner, or its settings do not hold together.
        EnvironmentProblem: its model cannot be had.
        FormatError: its file is damaged.
    """
    kind, colon, where = spec.partition(":")
    if kind not in CAPTIONERS or not colon or not where:
        raise SettingsError(
            f"no captioner is called {spec!r}",
            remedy="write endpoint:SETTINGS.json, transformers:FOLDER_OR_NAME or recorded:FILE.jsonl",
        )
    return import_module(CAPTIONERS[kind]).load(where)


__all__ = ["CAPTIONERS", "Captioner", "Speechless", "captioner"]
