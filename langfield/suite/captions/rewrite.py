"""A question in anybody's words to the captions that mean it: found by words and sentence vectors, or by a model.

The codes of a field over time were made from captions, so a question finds most when it is put in their words. What
stands here knows texts alone. The scores say how near the nearest captions are; whether that is near enough is decided
where absent states are calibrated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from langfield.errors import EnvironmentProblem, QueryError
from langfield.suite.captions.clause import clause
from langfield.suite.captions.lexicon import Lexicon, load_lexicon
from langfield.suite.captions.prompting import MAX_SLOT_CHARS, Prompt
from langfield.suite.captions.store import Captions
from langfield.suite.captions.types import Captioner, Speechless
from langfield.suite.sentences import SentenceEncoder

MAX_QUESTION = 1000
FENCE = re.compile(r"^`*(?:json)?\s*|\s*`*$")


@dataclass(frozen=True)
class RewriteSettings:
    """How much each sign counts, beside a cosine that lies between 0 and 1 in practice."""

    name: float = 0.2
    """Added where the question names the thing, taken off where it names another thing instead."""
    state: float = 0.3
    """Added where lexicon words of question and caption mean the same state, taken off where opposite ones."""
    keep: int = 5
    """Most anchors that are given."""
    offer: int = 12
    """Captions that a model chooses among."""


@dataclass(frozen=True)
class Anchor:
    """A caption that a question may mean, and why."""

    instance: int
    """The thing it is about."""
    text: str
    score: float
    """The signs together; larger is nearer."""
    cosine: float
    """Of the sentence vectors."""
    naming: float
    """Share of the thing's name that the question says, 0 to 1; -1 where it names another thing instead."""
    agreement: float
    """Of the states that words alone tell, -1 to 1; 0 where they tell nothing."""
    frames: int
    """Pictures that the caption was given to."""


@dataclass(frozen=True)
class Rewritten:
    """A question in the words of the captions."""

    question: str
    anchors: tuple[Anchor, ...]
    """Best first; none where a model says that no caption means the question."""
    by: Literal["retrieval", "model"]
    note: str = ""
    """Why a model that was asked did not decide."""


class CaptionVocabulary:
    """Every different thing that is said of each object, with its sentence vector.

    Args:
        captions: of the video.
        encoder: makes the vectors, once.
        lexicon: names and states; the package's own by default.
    """

    def __init__(self, captions: Captions, encoder: SentenceEncoder, lexicon: Lexicon | None = None) -> None:
        counts: dict[tuple[int, str], int] = {}
        for instance, _, text in captions:
            counts[instance, text] = counts.get((instance, text), 0) + 1
        self.names = {o.instance: o.name for o in captions.objects}
        self.said = tuple((instance, text, frames) for (instance, text), frames in counts.items())
        self.vectors: Float[Tensor, "V D"] = encoder.encode_texts([text for _, text, _ in self.said])
        self.encoder, self.lexicon = encoder, lexicon or load_lexicon()

    def __len__(self) -> int:
        return len(self.said)

    def anchors(self, question: str, settings: RewriteSettings | None = None) -> list[Anchor]:
        """Give all captions with their scores, best first; of equals the one given to more pictures.

        Raises:
            QueryError: the question is empty or above 1000 characters.
        """
        settings = settings or RewriteSettings()
        if not question.strip() or len(question) > MAX_QUESTION:
            raise QueryError(f"a question takes 1 to {MAX_QUESTION} characters", len(question))
        if not self.said:
            return []
        about = self.clause(question)
        cosines = (self.vectors @ self.encoder.encode_queries([about])[0]).tolist()
        naming = self._naming(question)
        rows = []
        for (instance, text, frames), cosine in zip(self.said, cosines, strict=True):
            agreement, named = self.lexicon.agreement(question, text), naming[instance]
            score = cosine + settings.name * named + settings.state * agreement
            rows.append(Anchor(instance, text, score, cosine, named, agreement, frames))
        return sorted(rows, key=lambda a: (-a.score, -a.frames, a.instance, a.text))

    def clause(self, question: str) -> str:
        """Give the part of a question that says what is to be found."""
        return clause(question, self.names.values(), self.lexicon)

    def _naming(self, question: str) -> dict[int, float]:
        naming = {instance: self.lexicon.naming(question, name) for instance, name in self.names.items()}
        best = max(naming.values(), default=0.0)
        return {instance: share if share == best else -1.0 for instance, share in naming.items()}


def rewrite(
    question: str,
    vocabulary: CaptionVocabulary,
    settings: RewriteSettings | None = None,
    model: Captioner | None = None,
    prompt: Prompt | None = None,
) -> Rewritten:
    """Put a question in the words of the captions.

    Args:
        question: keywords or a sentence.
        vocabulary: what has been said of the scene.
        settings: how much each sign counts.
        model: chooses among the nearest captions; where it fails or replies with anything but a choice among them,
            the nearest ones are given and a note says so.
        prompt: how it is asked; needed with a model.

    Raises:
        QueryError: the question is empty or too long.
    """
    settings = settings or RewriteSettings()
    found = vocabulary.anchors(question, settings)
    nearest = tuple(found[: settings.keep])
    if model is None or prompt is None or not found:
        return Rewritten(question, nearest, "retrieval")
    offered = found[: settings.offer]
    try:
        reply = model.caption([], prompt.fill({"question": question, "anchors": numbered(offered)}))
        chosen = read_choice(reply, len(offered), settings.keep)
    except (Speechless, EnvironmentProblem) as error:
        return Rewritten(question, nearest, "retrieval", f"the model did not choose: {error}")
    return Rewritten(question, tuple(offered[i - 1] for i in chosen), "model")


def numbered(anchors: Sequence[Anchor]) -> str:
    """Give captions as numbered lines, each cut so that all fit a prompt."""
    most = MAX_SLOT_CHARS // max(1, len(anchors)) - 8
    return "\n".join(f"{i}. {anchor.text[:most]}" for i, anchor in enumerate(anchors, 1))


def read_choice(reply: str, offered: int, keep: int) -> list[int]:
    """Read {"lines": [...]}: different numbers of offered lines, from 1, at most `keep`.

    Raises:
        Speechless: the reply is anything else.
    """
    try:
        data = json.loads(FENCE.sub("", reply))
    except (ValueError, RecursionError) as error:
        raise Speechless(f"the reply is no JSON: {reply[:80]!r}") from error
    lines = data.get("lines") if isinstance(data, dict) and set(data) == {"lines"} else None
    if not isinstance(lines, list) or len(lines) > keep:
        raise Speechless(f"the reply is no choice of at most {keep} lines: {reply[:80]!r}")
    numbers = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= offered for n in lines)
    if not numbers or len(set(lines)) != len(lines):
        raise Speechless(f"the reply names lines that were not offered: {reply[:80]!r}")
    return lines
