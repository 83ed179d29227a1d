"""Questions to a map that grows: they are answered from its last published state while the next one is being made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.online.turns import Turns
from langfield.query.answer import Answer, AskSettings, answer
from langfield.query.calibrate import Calibrator
from langfield.query.image import language_of
from langfield.query.relevancy import CANONICALS, encode_phrases
from langfield.query.vocabulary import Vocabulary, encode_vocabulary
from langfield.raster.threads import kernels_only
from langfield.suite import text_encoder
from langfield.suite.types import TextEncoder

ONLINE_ASK = AskSettings(max_views=4, search_side_px=160, answer_side_px=320, enough=0.5)
"""Less is looked at than in a finished map, so that an answer keeps up with the camera."""


@dataclass(frozen=True)
class Glimpse:
    """The map at one moment; nothing in it changes any more."""

    field: Field
    views: Mapping[str, Camera]
    keyframe: int
    """Id of the newest keyframe it knows."""


class Remembering:
    """A text encoder that keeps the vectors of the texts it was given last: negatives come with every question."""

    def __init__(self, encoder: TextEncoder, most: int = 1024) -> None:
        self.name, self.dim, self.provenance = encoder.name, encoder.dim, encoder.provenance
        self._encoder, self._most = encoder, most
        self._kept: dict[str, Tensor] = {}

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "B D"]:
        """Give one float32 unit vector per text."""
        known = {text: self._kept[text] for text in texts if text in self._kept}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= dict(zip(new, self._encoder.encode_texts(new), strict=True))
        rest = {text: row for text, row in self._kept.items() if text not in known}
        self._kept = dict([*rest.items(), *known.items()][-self._most :])
        return torch.stack([known[text] for text in texts]) if texts else torch.zeros(0, self.dim)


class Asker:
    """Answers questions from the newest glimpse; may be called from any thread.

    Args:
        encoder: name of the text encoder, or one; a name is loaded with the first question.
    """

    def __init__(self, encoder: str | TextEncoder) -> None:
        self._given = encoder
        self._lock, self._loading = Lock(), Lock()
        self._glimpse: Glimpse | None = None
        self._calibrated: tuple[Glimpse, Calibrator] | None = None
        self.turns = Turns()
        """What mapping waits by while a question is answered."""

    @property
    def glimpse(self) -> Glimpse | None:
        """The newest published state; None before the first."""
        with self._lock:
            return self._glimpse

    def publish(self, glimpse: Glimpse) -> None:
        """Answer from this state from now on; where somebody asks, what judges answers is made before it is asked."""
        names = self._names
        ready = names is not None and glimpse.field.codes is not None
        with kernels_only():
            calibrated = (glimpse, Calibrator(glimpse.field, names)) if ready and names is not None else None
        with self._lock:
            self._glimpse, self._calibrated = glimpse, calibrated

    def load(self) -> None:
        """Load the text encoder and encode the common names, which otherwise the first question waits for."""
        with self._loading:
            _ = self._encoder

    @cached_property
    def _encoder(self) -> TextEncoder:
        return Remembering(text_encoder(self._given) if isinstance(self._given, str) else self._given)

    def ask(
        self, text: str | Sequence[str], negatives: Sequence[str] = CANONICALS, settings: AskSettings = ONLINE_ASK
    ) -> Answer:
        """Find a thing in the map as it is now; several texts: any of them will do.

        Raises:
            QueryError: there is no map with language yet, or the question cannot be asked.
        """
        now = self.glimpse
        if now is None or now.field.codes is None:
            raise QueryError("there is no map with language to ask yet", None, "wait for the first keyframe")
        dim = language_of(now.field)[1].dim
        self.load()
        names = self._vocabulary(dim)
        texts = [text] if isinstance(text, str) else list(text)
        with self.turns.question(), kernels_only():  # torch's waiting threads would take the cores from the kernels
            phrases = encode_phrases(self._encoder, texts, dim, negatives)
            asked = phrases.any_of() if len(phrases) > 1 else phrases
            return answer(now.field, now.views, asked, self._calibrator(now, names), settings)

    def _calibrator(self, now: Glimpse, names: Vocabulary) -> Calibrator:
        with self._lock:
            known = self._calibrated
        if known is None or known[0] is not now:
            known = (now, Calibrator(now.field, names))
            with self._lock:
                self._calibrated = known
        return known[1]

    def _vocabulary(self, dim: int) -> Vocabulary:
        with self._loading:
            if self._names is None:
                self._names = encode_vocabulary(self._encoder, dim)
            return self._names

    _names: Vocabulary | None = None
