"""How keyframes get into the named mode's language map: dense features of the whole picture, no masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langfield.capture.images import read_picture
from langfield.capture.stream import RgbdFrame
from langfield.codec.two_stage_fit import read_stage_one
from langfield.errors import EnvironmentProblem
from langfield.online.language import LanguageMap
from langfield.online.paper.language import OnlineLangSplat
from langfield.online.paper.settings import PaperSettings
from langfield.online.report import Clock
from langfield.online.types import Keyframe
from langfield.raster import Gaussians
from langfield.suite.dense import FOLDER, DenseEncoder, load

STAGE_ONE_FILE = "stage_one.safetensors"


class DenseTeacher:
    """A `langfield.online.teach.Teacher` for mode `online-langsplat`.

    Args:
        features: gives a vector for every 4 x 4 pixels.
        language: takes them.
    """

    def __init__(self, features: DenseEncoder, language: OnlineLangSplat) -> None:
        self.features, self._language = features, language

    @property
    def language(self) -> LanguageMap:
        """The map."""
        return self._language

    @property
    def encoder(self) -> dict[str, Any]:
        """Provenance of the image encoder."""
        return self.features.provenance

    def look(self, frame: RgbdFrame, picture: Path, clock: Clock) -> Callable[[Keyframe, Gaussians], None]:
        """Make a picture's features; gives what tells them to the map.

        Args:
            frame: at working size; the picture itself is read.
            picture: its file in the run's folder.
            clock: counts seconds to "features".
        """
        del frame
        with clock.at("features"):
            found = self.features.encode(read_picture(picture))

        def tell(keyframe: Keyframe, gaussians: Gaussians) -> None:
            self._language.add_dense(keyframe, gaussians, found)

        return tell


def open_language(settings: PaperSettings | None = None, folder: Path = FOLDER) -> OnlineLangSplat:
    """Make the language map of mode `online-langsplat` with the trained first autoencoder.

    Raises:
        EnvironmentProblem: it is not in this installation.
        FormatError: its file is damaged.
    """
    path = folder / STAGE_ONE_FILE
    if not path.is_file():
        raise EnvironmentProblem("the first autoencoder is not in this installation", path, "langfield weights dense")
    return OnlineLangSplat(read_stage_one(path), settings)


def open_teacher(settings: PaperSettings | None = None, folder: Path = FOLDER) -> DenseTeacher:
    """Make all that mode `online-langsplat` needs.

    Raises:
        EnvironmentProblem: weights are not on this machine.
        FormatError: a file is damaged.
    """
    return DenseTeacher(load(folder), open_language(settings, folder))
