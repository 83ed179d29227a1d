"""A question put to the Gaussians themselves: quick enough to answer while somebody looks at the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.calibrate import Calibrator, Judgement
from langfield.query.gaussians import select_gaussians
from langfield.query.heads import ask_head
from langfield.query.image import language_of
from langfield.query.methods import By, ask_by, words_of
from langfield.query.relevancy import CANONICALS, Phrases, encode_phrases
from langfield.query.similarity import Similarity
from langfield.query.vocabulary import encode_vocabulary
from langfield.raster.types import Gaussians
from langfield.suite.choose import choose
from langfield.suite.head import Head
from langfield.suite.types import ImageEncoder, TextEncoder
from langfield.viewer.decoded import DecodedCodes
from langfield.viewer.places import LEAST_ABOVE, Ground, Place
from langfield.viewer.rows import Rows, frozen
from langfield.viewer.session import Query, Thing


@dataclass(frozen=True)
class Found:
    """What the Gaussians say to a question."""

    text: str
    scores: Float32[np.ndarray, "L N"]
    places: tuple[Place, ...]
    """One per level."""
    about: str
    """Encoders and negatives, in words."""
    judged: Judgement
    """Whether it is in the scene at all."""
    in_words: bool = True
    """Whether it was asked in words."""

    @property
    def level(self) -> int:
        """The level whose place scores highest, the first of equals."""
        return int(np.argmax([p.score for p in self.places]))


@dataclass(frozen=True)
class Encoders:
    """How the encoders of a run are loaded, when they are first needed."""

    text: Callable[[], TextEncoder]
    image: Callable[[], ImageEncoder]


class Asker:
    """Holds a field, and what the first question makes: the encoders and the decoded codes."""

    def __init__(self, field: Field, ground: Ground, encoders: Encoders) -> None:
        self.field = field
        """As it is at the time that is shown."""
        self.encoders, self._ground, self._stale = encoders, ground, False
        self._text: TextEncoder | None = None
        self._image: ImageEncoder | None = None
        self._decoded: DecodedCodes | Similarity | None = None
        self._calibrator: Calibrator | None = None

    @property
    def ground(self) -> Ground:
        """The scene as it is at the time that is shown."""
        if self._stale:
            self._stale, self._ground = False, self._ground.at(self.field.gaussians)
        return self._ground

    def become(self, gaussians: Gaussians) -> None:
        """Take the same Gaussians as they are at another time; codes stay."""
        self.field, self._stale = replace(self.field, gaussians=gaussians), True

    @property
    def is_ready(self) -> bool:
        """Whether the text encoder is loaded and the codes are decoded."""
        return self._text is not None and self._decoded is not None

    def ask(self, text: str, negatives: Sequence[str] = CANONICALS, by: By | None = None) -> Found:
        """Ask for something in words; several names with "|" between them ask for any of them.

        Args:
            text: what.
            negatives: what it is held against.
            by: a method that reads the words; None for the words as they are.

        Raises:
            QueryError: the text cannot be asked, or the field has no language part.
            SettingsError: there is no such method.
        """
        _, codec = language_of(self.field)
        texts = [part for part in text.split("|") if part.strip()] or [text]
        # Words are checked before an encoder is loaded: it may take seconds.
        encode_phrases(_Blank(codec.dim), texts, codec.dim, negatives)
        self._text = self._text or self.encoders.text()
        if by is None:
            phrases = encode_phrases(self._text, texts, codec.dim, negatives)
            return self._answer(text.strip(), phrases.any_of() if len(texts) > 1 else phrases)
        phrases = ask_by(self.field, self._text, [part.strip() for part in texts], by, negatives)
        together = getattr(choose("ask", by.method).module, "TOGETHER", False)
        return self._answer(text.strip(), phrases if together or len(texts) == 1 else phrases.any_of())

    def ask_head(self, head: Head) -> list[Found]:
        """Ask for every name of what was taught.

        Raises:
            QueryError: the head is of another encoder, or the field has no language part.
        """
        phrases = ask_head(head, language_of(self.field)[1].dim)
        return [replace(self._answer(name, phrases.row(i)), in_words=False) for i, name in enumerate(head.names)]

    def ask_like(self, row: int, level: int, negatives: Sequence[str] = CANONICALS) -> Found:
        """Ask for what is like a Gaussian.

        Raises:
            QueryError: no view has shown it, or the field has no language part.
        """
        return self._ask_vector(f"like Gaussian {row}", self._vector(row, level), negatives)

    def alike(self, row: int, level: int) -> Rows:
        """Give the Gaussians around one that mean the same, it among them.

        Raises:
            QueryError: no view has shown it, or the field has no language part.
        """
        cosines = self._ready().products(self._vector(row, level))[level, :, 0]
        anchor = self.ground.means[row].astype(np.float64)
        rows = select_gaussians(self.field.gaussians, cosines, anchor, float(cosines[row])).rows
        return frozen(np.append(rows, row))

    def _vector(self, row: int, level: int) -> torch.Tensor:
        codes, codec = language_of(self.field)
        code = codes[level, row : row + 1]
        if not bool((code != 0).any()):
            raise QueryError("no view has shown what was clicked", remedy="click another place of it")
        with torch.no_grad():
            return normalize(codec.decode(code if codec.linear else normalize(code.float(), dim=1)).float(), dim=1)

    def _ready(self) -> DecodedCodes | Similarity:
        codes, codec = language_of(self.field)
        if self._decoded is None:
            self._decoded = Similarity(self.field) if codec.linear else DecodedCodes(codes, codec)
        return self._decoded

    def ask_picture(self, name: str, picture: UInt8[np.ndarray, "h w 3"], negatives: Sequence[str]) -> Found:
        """Ask for what a picture shows.

        Raises:
            QueryError: the field has no language part.
        """
        language_of(self.field)
        self._image = self._image or self.encoders.image()
        return self._ask_vector(f"picture {name}", self._image.encode_images([picture]).float().cpu(), negatives)

    def _ask_vector(self, name: str, vector: torch.Tensor, negatives: Sequence[str]) -> Found:
        _, codec = language_of(self.field)
        self._text = self._text or self.encoders.text()
        canonicals = encode_phrases(self._text, ["thing"], codec.dim, negatives)
        about = {"name": "a picture"}
        phrases = Phrases((name,), vector, canonicals.canonicals, about, canonicals.negatives, space="image")
        return self._answer(name, phrases)

    def _answer(self, name: str, phrases: Phrases) -> Found:
        scores = self._ready().relevancy(phrases)[0].numpy()
        scores.setflags(write=False)
        image = self.field.provenance.get("image_encoder", "unknown")
        image = str(image.get("name", "unknown") if isinstance(image, dict) else image)
        words = phrases.encoder.get("name", "unknown")
        about = f"{image} (pictures), {words} (question)"
        about += f"; against: {', '.join(phrases.negatives)}" if any(phrases.negatives) else ""
        about = "; ".join((about, *words_of(phrases.encoder)))
        places = tuple(self.ground.place(level) for level in scores)
        return Found(name, scores, places, about, self._judge(phrases), phrases.space == "text")

    def _judge(self, phrases: Phrases) -> Judgement:
        if self._calibrator is None:
            self._text = self._text or self.encoders.text()
            self._calibrator = Calibrator(self.field, encode_vocabulary(self._text, language_of(self.field)[1].dim))
        return self._calibrator.judge(phrases)[0]

    def thing(self, place: Place, scores: Float32[np.ndarray, " N"]) -> Thing:
        """Collect the Gaussians that make up the thing at a level's place."""
        gaussians = self.field.gaussians
        rows = select_gaussians(gaussians, torch.from_numpy(scores.copy()), place.anchor, place.score).rows
        threshold = self.ground.threshold(scores, place.score)
        return Thing(place.score, threshold, frozen(rows), self.ground.middle(rows))

    def query(self, found: Found) -> Query:
        """Give an answer as it stands on the page; what is not in the scene lights nothing up."""
        things = {found.level: self.thing(found.places[found.level], found.scores[found.level])}
        view = self.ground.best_view(things[found.level].rows)
        judged = found.judged
        if judged.verdict == "not in this scene":
            nothing = min(1.0, float(found.scores.max()) + LEAST_ABOVE)
            things = {found.level: replace(things[found.level], threshold=nothing)}
        told = f"{judged.verdict[0].upper()}{judged.verdict[1:]}: {judged.note}."
        return Query(
            found.text, found.scores, things, found.level, found.about, told, judged.score,
            view=view and view.name, in_words=found.in_words,
        )  # fmt: skip


class _Blank:
    """An encoder of zeros, with which a question is checked."""

    name = "none"

    def __init__(self, dim: int) -> None:
        self.dim, self.provenance = dim, dict[str, object]()

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.zeros(len(texts), self.dim)
