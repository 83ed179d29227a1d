"""Prompts in words: versioned files with named slots, checked when they are read and filled in one pass."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from langfield.artefacts import content_key
from langfield.errors import FormatError, SettingsError

FOLDER = Path(__file__).with_name("prompts")
MAX_BYTES = 16 * 1024
MAX_SLOT_CHARS = 8192
NOTHING = "(nothing known)"
"""What stands where a slot has nothing to say."""

Kind = Literal["video", "frame", "rewrite"]
SLOTS: dict[Kind, frozenset[str]] = {
    "video": frozenset({"object_hint"}),
    "frame": frozenset({"object_hint", "picture", "video_caption", "before", "after"}),
    "rewrite": frozenset({"question", "anchors"}),
}


@dataclass(frozen=True)
class Prompt:
    """A checked text with the slots of its kind."""

    kind: Kind
    name: str
    """Name of its file without the suffix, such as "frame_v1"."""
    text: str

    @property
    def key(self) -> str:
        """Hash of the text: two prompts of one name that differ are told apart."""
        return content_key(self.kind, self.text)

    def fill(self, slots: Mapping[str, str]) -> str:
        """Put words into the slots; braces in those words stay what they are.

        Raises:
            SettingsError: a slot is missing, unknown, or longer than 8192 characters.
        """
        if set(slots) != SLOTS[self.kind]:
            raise SettingsError(f"a {self.kind} prompt has the slots {sorted(SLOTS[self.kind])}", sorted(slots))
        long = [name for name, words in slots.items() if len(words) > MAX_SLOT_CHARS]
        if long:
            raise SettingsError(f"words for a prompt are longer than {MAX_SLOT_CHARS} characters", long)
        return self.text.format_map({name: words.strip() or NOTHING for name, words in slots.items()})


def load_prompt(kind: Kind, source: str | Path | None = None) -> Prompt:
    """Read and check a prompt.

    Args:
        kind: what it is for; decides the slots it must have.
        source: name of a file of the package such as "frame_v1", path of a file of one's own, or None for version 1.

    Raises:
        FormatError: not there, not UTF-8, empty, above 16 KiB, or its slots are not those of the kind.
    """
    path = source if isinstance(source, Path) else _named(kind, source or f"{kind}_v1")
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise FormatError(f"a prompt must be a file of at most {MAX_BYTES} bytes", path)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise FormatError("a prompt must be UTF-8 text", path) from error
    _check(kind, text, path)
    return Prompt(kind, path.stem, text)


def _named(kind: Kind, name: str) -> Path:
    known = {path.stem: path for path in sorted(FOLDER.glob(f"{kind}_*.txt"))}
    if name not in known:
        raise FormatError(f"there is no {kind} prompt {name!r}", None, f"choose one of: {', '.join(known)}, or a path")
    return known[name]


def _check(kind: Kind, text: str, path: Path) -> None:
    try:
        fields = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise FormatError(f"braces in the prompt do not match: {error}", path, "write {{ and }} for braces") from error
    names = [name for name, *_ in fields]
    plain = all(not spec and not conversion for _, spec, conversion in fields)
    if not text or not plain or set(names) != SLOTS[kind] or len(set(names)) != len(names):
        wanted = " ".join("{" + name + "}" for name in sorted(SLOTS[kind]))
        raise FormatError(f"a {kind} prompt has each of the slots {wanted} once and no other", path)
