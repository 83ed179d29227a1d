"""From a text to what the bridge knows of it: vectors of its words and phrases out of a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from langfield.suite.tables import plain_name

LONGEST_PHRASE = 4
SHORTEST_PART = 3
# Left out of the mean unless nothing else is there: they carry a sentence, not a thing.
FILLERS = frozenset(
    ["a", "an", "and", "at", "for", "in", "is", "of", "on", "or", "some", "that", "the", "this", "to", "with"]
)
FEATURES = 4
FLAGS = 4


@dataclass(frozen=True)
class Lexicon:
    """Words and phrases with their vectors, as differences from the mean text vector."""

    rows: Mapping[str, int]
    """Row of each word or phrase, lower case."""
    vectors: Float32[np.ndarray, "V D"]

    def word(self, word: str) -> np.ndarray | None:
        """Give the vector of a word, of its singular or of its plural."""
        for form in (word, word.removesuffix("s"), word + "s", word.removesuffix("es")):
            if form in self.rows:
                return self.vectors[self.rows[form]]
        return None

    def parts(self, word: str) -> list[np.ndarray]:
        """Split an unknown compound such as "fishbowl" into two known words, as near its middle as can be."""
        cuts = range(SHORTEST_PART, len(word) - SHORTEST_PART + 1)
        for cut in sorted(cuts, key=lambda c: abs(c - len(word) / 2)):
            if word[:cut] in self.rows and word[cut:] in self.rows:
                return [self.vectors[self.rows[part]] for part in (word[:cut], word[cut:])]
        return []


def split_words(text: str) -> list[str]:
    """Give the words of a text, lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def segment(text: str, lexicon: Lexicon, skip: str | None = None) -> list[np.ndarray | None]:
    """Cut a text into the longest phrases and words the lexicon knows; None for a word it does not know.

    Args:
        text: any text.
        lexicon: words and phrases.
        skip: a phrase that must not be looked up as a whole; so a training row cannot find itself.
    """
    words, found, at = split_words(text), [], 0
    words = [word for word in words if word not in FILLERS] or words
    while at < len(words):
        for length in range(min(LONGEST_PHRASE, len(words) - at), 1, -1):
            phrase = " ".join(words[at : at + length])
            if phrase != skip and phrase in lexicon.rows:
                found.append(lexicon.vectors[lexicon.rows[phrase]])
                at += length
                break
        else:
            vector = lexicon.word(words[at])
            found += [vector] if vector is not None else lexicon.parts(words[at]) or [None]
            at += 1
    return found


def text_features(
    text: str, lexicon: Lexicon, skip: str | None = None
) -> tuple[Float32[np.ndarray, "4 D"], Float32[np.ndarray, " 4"]]:
    """Give what the words say: mean, last, first and bracketed-hint vector, and flags.

    Args:
        text: any text; a hint in brackets as in "bat (animal)" counts apart.
        lexicon: words and phrases.
        skip: see `segment`.
    """
    name = plain_name(text) or text
    found = segment(name, lexicon, skip)
    hints = segment(" ".join(re.findall(r"\((.*?)\)", text.replace("_", " "))), lexicon)
    nothing = np.zeros(lexicon.vectors.shape[1], np.float32)
    known = [vector for vector in found if vector is not None]
    vectors = np.stack(
        [
            np.mean(known, axis=0) if known else nothing,
            _or(found[-1:], nothing),
            _or(found[:1], nothing),
            _mean([h for h in hints if h is not None], nothing),
        ]
    )
    share = len(known) / len(found) if found else 0.0
    return vectors, np.array([share, len(found) > 1, len(found) > 2, bool(hints)], np.float32)


def _or(found: Sequence[np.ndarray | None], nothing: np.ndarray) -> np.ndarray:
    return next((vector for vector in found if vector is not None), nothing)


def _mean(found: Sequence[np.ndarray], nothing: np.ndarray) -> np.ndarray:
    return np.mean(found, axis=0) if found else nothing
