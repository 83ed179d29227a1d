"""What a sentence asks about: of "Show me when the lamp is lit" the clause "the lamp is lit".

A sentence vector of a question also says that it is a question; held against captions that blurs what state is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from langfield.suite.captions.lexicon import Lexicon, words

OPENERS = frozenset({"when", "whenever", "where", "while", "that", "which", "if", "whether", "during"})
"""Words after which a clause may begin."""
TIMES = frozenset(
    ["second", "moment", "minute", "time", "frame", "picture", "part", "scene", "video", "interval", "period", "point",
     "does", "do", "did"]
)  # fmt: skip
"""Left out where a clause begins with them."""
LEAST_WORDS = 3


def clause(question: str, names: Iterable[str], lexicon: Lexicon) -> str:
    """Give the innermost clause of a question that names what the whole names; all of it where there is none.

    Args:
        question: keywords or a sentence.
        names: of things; empty ones count for nothing.
        lexicon: what else things may be called.
    """
    said = re.findall(r"\S+", question.strip().rstrip("?.! "))
    known = [name for name in names if lexicon.naming(question, name) > 0]
    best = " ".join(said)
    for at, word in enumerate(said):
        if not set(words(word)) & OPENERS:
            continue
        begin = at + 1
        while begin < len(said) and set(words(said[begin])) & (TIMES | OPENERS):
            begin += 1
        rest = " ".join(said[begin:])
        if len(said) - begin < LEAST_WORDS or not _names(rest, known, lexicon):
            break
        best = rest
    return best


def _names(text: str, names: list[str], lexicon: Lexicon) -> bool:
    """Tell whether a part of a question still names what the question names."""
    return not names or any(lexicon.naming(text, name) > 0 for name in names)
