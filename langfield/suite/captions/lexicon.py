"""What words alone say: which thing a text names, and whether two texts mean the same state or opposite ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from langfield.errors import FormatError

FILE = Path(__file__).with_name("synonyms.txt")
MAX_BYTES = 256 * 1024
NEGATIONS = frozenset(
    {"not", "no", "never", "neither", "cannot", "hardly", "isnt", "arent", "wasnt", "stops", "ceased"}
)
REACH = 3
"""A negation turns what begins at most this many words behind it."""

SKIPPED = frozenset(
    ["a", "an", "the", "this", "that", "it", "its", "he", "she", "they", "is", "are", "was", "were", "be", "been",
     "being", "has", "have", "had", "got", "gets"]
)  # fmt: skip
"""Words that phrases of states are matched without."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Phrase:
    """A way to speak of a state, as the lexicon's file writes it."""

    text: str
    pair: int
    """Number of its pair of opposite groups."""
    side: int
    """+1 or -1."""


@dataclass(frozen=True)
class Lexicon:
    """Groups of names, and pairs of opposite groups of phrases."""

    names: tuple[frozenset[str], ...]
    states: Mapping[Words, tuple[tuple[int, int], ...]]
    """Phrase to (number of a pair, +1 or -1) for every pair it stands in."""
    phrases: tuple[Phrase, ...] = ()
    """The same phrases as they are written, in the file's order."""

    def same_name(self, word: str) -> frozenset[str]:
        """Give a name and all that it may also be called."""
        return frozenset({word}).union(*(group for group in self.names if word in group))

    def sides(self, text: str) -> dict[int, int]:
        """Give, per pair, which side a text speaks of: +1 or -1; pairs it leaves open or speaks both of are missing.

        Longer phrases win over shorter ones inside them; "not", "no longer" and their like turn a side round.
        """
        said, at, found = content(text), 0, dict[int, int]()
        longest = max(map(len, self.states), default=0)
        while at < len(said):
            ends = range(min(len(said), at + longest), at, -1)
            end = next((e for e in ends if said[at:e] in self.states), None)
            if end is None:
                at += 1
                continue
            turn = -1 if NEGATIONS & set(said[max(0, at - REACH) : at]) else 1
            for pair, side in self.states[said[at:end]]:
                found[pair] = found.get(pair, 0) + turn * side
            at = end
        return {pair: (side > 0) - (side < 0) for pair, side in found.items() if side}

    def agreement(self, one: str, other: str) -> float:
        """Give from -1 (opposite states) over 0 (nothing to compare) to 1 (the same states)."""
        a, b = self.sides(one), self.sides(other)
        common = a.keys() & b.keys()
        return sum(a[pair] * b[pair] for pair in common) / len(common) if common else 0.0

    def naming(self, text: str, name: str) -> float:
        """Give how much of a thing's name a text says: 0 without its last word or a synonym, 1 for all of it."""
        parts, said = words(name), set(words(text))
        if not parts or not said & self.same_name(parts[-1]):
            return 0.0
        return sum(bool(said & self.same_name(part)) for part in parts) / len(parts)


def words(text: str) -> Words:
    """Give a text's words in lower case, without the s of plurals, "n't" as "not"."""
    plain = text.lower().replace("’", "'").replace("n't", " not").replace("'s", " ")
    found = re.findall(r"[^\W_]+", plain)
    return tuple(map(_singular, found))


def content(text: str) -> Words:
    """Give a text's words without those that phrases of states are matched without."""
    return tuple(word for word in words(text) if word not in SKIPPED)


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


def parse_lexicon(text: str, where: object = None) -> Lexicon:
    """Read the format of synonyms.txt.

    Raises:
        FormatError: a line stands in no section, a name has several words, or a pair has not two sides.
    """
    section, names, states = "", list[frozenset[str]](), dict[Words, list[tuple[int, int]]]()
    written = list[Phrase]()
    for number, raw in enumerate(text.splitlines(), 1):
        line, place = raw.split("#")[0].strip(), f"{where}, line {number}"
        if line in ("[names]", "[states]"):
            section = line
        elif line and section == "[names]":
            group = [words(name) for name in line.split(",")]
            if any(len(phrase) != 1 for phrase in group):
                raise FormatError("a name must be one word", place)
            names.append(frozenset(phrase[0] for phrase in group))
        elif line and section == "[states]":
            sides = line.split("|")
            if len(sides) != 2:
                raise FormatError("a pair of states has two sides with | between", place)
            for side, phrases in zip((1, -1), sides, strict=True):
                parts = {content(part): part.strip() for part in phrases.split(",")}
                for phrase in parts.keys() - {()}:
                    states.setdefault(phrase, []).append((number, side))
                written += [Phrase(part, number, side) for phrase, part in parts.items() if phrase]
        elif line:
            raise FormatError("a line must stand in [names] or [states]", place)
    return Lexicon(tuple(names), {phrase: tuple(pairs) for phrase, pairs in states.items()}, tuple(written))


@cache
def load_lexicon(path: Path = FILE) -> Lexicon:
    """Read a lexicon; the package's own by default.

    Raises:
        FormatError: missing, large, not UTF-8 or not of that format.
    """
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise FormatError(f"a lexicon must be a file of at most {MAX_BYTES} bytes", path)
    try:
        return parse_lexicon(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise FormatError("a lexicon must be UTF-8 text", path) from error
