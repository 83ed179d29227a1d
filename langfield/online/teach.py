"""How a new keyframe's language gets into the map; what one mode takes from the picture, another does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from langfield.artefacts import write_tensors
from langfield.capture.stream import RgbdFrame
from langfield.online.features import FeatureMaker
from langfield.online.language import LanguageMap
from langfield.online.report import Clock
from langfield.online.types import Keyframe
from langfield.raster import Gaussians
from langfield.segment import save_segments


class Teacher(Protocol):
    """Makes the features of keyframes and hands them to a language map."""

    @property
    def language(self) -> LanguageMap:
        """The map."""
        ...

    @property
    def encoder(self) -> dict[str, Any]:
        """Provenance of the image encoder, where a picture was looked at."""
        ...

    def look(self, frame: RgbdFrame, picture: Path, clock: Clock) -> Callable[[Keyframe, Gaussians], None]:
        """Make a picture's features; gives what tells them to the map, which writes nothing any more.

        Args:
            frame: at working size.
            picture: its file in the run's folder.
            clock: counts seconds to "features".

        Raises:
            StorageError: features cannot be written; the map is as it was.
        """
        ...


class SegmentTeacher:
    """Segments and a vector for each; both are kept in the run's folder beside the picture.

    Args:
        features: makes them.
        language: takes them.
    """

    def __init__(self, features: FeatureMaker, language: LanguageMap) -> None:
        self.features, self._language = features, language
        self._encoder: dict[str, Any] = {}

    @property
    def language(self) -> LanguageMap:
        """The map."""
        return self._language

    @property
    def encoder(self) -> dict[str, Any]:
        """Provenance of the image encoder, where a picture was looked at."""
        return self._encoder

    def look(self, frame: RgbdFrame, picture: Path, clock: Clock) -> Callable[[Keyframe, Gaussians], None]:
        """Make a picture's features and keep them; gives what tells them to the map."""
        with clock.at("features"):
            found = self.features(frame, picture)
        with clock.at("save"):
            home = picture.parents[1] / "segments"
            save_segments(home / (picture.name + ".npz"), found.segments)
            write_tensors(home / (picture.name + ".safetensors"), {"vectors": found.vectors.half()}, found.about)
        self._encoder = {k: v for k, v in found.about.items() if k != "table"}
        vectors = found.vectors.half().float()  # as a later run reads them
        return lambda keyframe, gaussians: void(self._language.add(keyframe, gaussians, found.segments, vectors))


def void(_: object) -> None:
    """Give nothing, whatever was given."""
