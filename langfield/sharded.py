"""A run whose field lies in shards, opened without its Gaussians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json
from langfield.capture.types import Camera, Frame
from langfield.errors import QueryError
from langfield.field.shard_index import is_sharded
from langfield.field.shards import Shards
from langfield.query.answer import Answer
from langfield.query.calibrate import Calibrator
from langfield.query.relevancy import CANONICALS, Phrases, encode_phrases
from langfield.query.sharded import ShardAsker, ShardAskSettings
from langfield.query.vocabulary import encode_vocabulary
from langfield.run import find_run, frames_from_json, read_manifest
from langfield.suite.types import TextEncoder


@dataclass
class ShardedRun:
    """A finished run in shards."""

    path: Path
    manifest: dict[str, Any]
    shards: Shards
    frames: tuple[Frame, ...]
    """All views, training and held out."""
    encoder: TextEncoder | None = None
    """Loaded when first needed."""

    @property
    def views(self) -> dict[str, Camera]:
        """Camera of every view by its name."""
        return {f.name: f.camera for f in self.frames}

    @cached_property
    def asker(self) -> ShardAsker:
        """What answers."""
        return ShardAsker(self.shards, self.views)

    @cached_property
    def calibrator(self) -> Calibrator:
        """What judges whether a thing is here at all, with common names."""
        return self.asker.calibrator(encode_vocabulary(self.text_encoder(), self.dim))

    @property
    def dim(self) -> int:
        """Width of the field's embeddings.

        Raises:
            QueryError: it has no language part.
        """
        if self.shards.codec is None:
            raise QueryError("this field has no language part", self.path, "finish its language stage first")
        return self.shards.codec.dim

    def text_encoder(self, spec: str | None = None) -> TextEncoder:
        """Load the text encoder the run names, or another of the same space."""
        from langfield.suite import text_encoder

        if self.encoder is None:
            self.encoder = text_encoder(spec or self.manifest["settings"]["text_encoder"])
        return self.encoder

    def questions(
        self, texts: Sequence[str], negatives: Sequence[str] = (), any_of: bool = False, spec: str | None = None
    ) -> Phrases:
        """Encode texts, a row of the question each.

        Raises:
            QueryError: a text cannot be asked, or the encoder does not fit the field.
        """
        dim = self.dim  # refuses before an encoder is loaded
        asked = encode_phrases(self.text_encoder(spec), texts, dim, negatives or CANONICALS)
        return asked.any_of() if any_of and len(asked) > 1 else asked

    def answer(self, phrases: Phrases, settings: ShardAskSettings | None = None) -> Answer:
        """Answer the first row of a question.

        Raises:
            QueryError: there is no view, or the field has no language part.
        """
        return self.asker.answer(phrases, self.calibrator, settings or ShardAskSettings())


def open_sharded(path: Path) -> ShardedRun | None:
    """Open a run in shards; None where the run is in one piece.

    Raises:
        FormatError: it is not a finished run, or a file of it is damaged.
    """
    if not is_sharded(find_run(path)):
        return None
    folder, manifest = read_manifest(path)
    frames = frames_from_json(read_json(folder / "capture.json"), folder)
    return ShardedRun(folder, manifest, Shards(folder), frames)
