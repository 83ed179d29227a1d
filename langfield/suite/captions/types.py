"""The slot of captioners: pictures and a prompt to words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import UInt8

from langfield.errors import FormatError

MAX_CHARS = 2000
"""Longest caption that is believed; a sentence or two were asked for."""
THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
QUOTES = ('"', "'", "“", "”", "`")


class Speechless(FormatError):
    """A captioner was asked as often as its settings say and never gave words that can be used."""


class Captioner(Protocol):
    """Pictures and a prompt to words; without pictures it answers a text."""

    name: str
    """Spec string that makes it again, such as "transformers:Qwen/Qwen2-VL-7B-Instruct"."""
    identity: dict[str, Any]
    """What decides its words: model, version, limits. Part of the key of every caption that is kept."""
    provenance: dict[str, Any]
    """The identity and where it ran; never a key or password."""
    parallel: int
    """How many threads may call `caption` at the same time with profit."""

    def caption(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
        """Give one tidy line of words.

        Args:
            images: RGB pictures in the order the prompt speaks of; none for a question in words alone.
            prompt: what is asked.

        Raises:
            Speechless: no usable words although asked again.
            EnvironmentProblem: the model cannot be reached, or has no answer to this question.
            SettingsError: the model refuses the settings it was called with.
        """
        ...


def tidy(words: object, cut: bool = False) -> str:
    """Give what a model said as one line: no thoughts, control characters, quotes around it or double spaces.

    Args:
        words: the reply.
        cut: it ended at the limit of tokens; what follows its last whole sentence is dropped if there is one.

    Raises:
        Speechless: it is no text, says nothing, or is longer than 2000 characters.
    """
    if not isinstance(words, str):
        raise Speechless(f"the reply is {type(words).__name__}, not text")
    line = "".join(c if c.isprintable() else " " for c in THOUGHTS.sub(" ", words))
    line = " ".join(line.split())
    if len(line) > 1 and line[0] in QUOTES and line[-1] in QUOTES:
        line = line[1:-1].strip()
    if cut:
        line = line[: line.rfind(". ") + 1] or line
    if not any(c.isalnum() for c in line):
        raise Speechless("the reply says nothing")
    if len(line) > MAX_CHARS:
        raise Speechless(f"the reply has {len(line)} characters, above {MAX_CHARS}")
    return line
