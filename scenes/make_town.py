"""Make the scene `town`: a drone's photos of a procedural town, 4 to 20,000 of them, exact in everything.

    uv run python scenes/make_town.py --photos 200 --out outputs/town

Every photo follows from its number and the seed alone; photos that are already in the folder are kept, so a stopped
run goes on where it was, and several machines can share the work (`--first`, `--last`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tyro
from town import files
from town.features import Vectors, features
from town.photo import Survey, take

from langfield.artefacts import write_json
from langfield.errors import SettingsError
from langfield.progress import say, track
from langfield.segment.langsplat import write_langsplat

MOST_PHOTOS = 20_000
"""Ids of more things would not fit the 16 bits of an id map."""


@dataclass(frozen=True)
class Options:
    """How to make the scene."""

    out: Path = Path("outputs/town")
    """Folder to write into."""
    photos: int = 200
    """Number of photos, 4 to 20,000; the town is as large as they can see, 25 m² each."""
    width: int = 160
    """Pixels."""
    height: int = 120
    """Pixels."""
    seed: int = 11
    """Decides the town, the flight and the start points."""
    points_per_cell: int = 300
    """Start points in each cell of 12 m x 12 m."""
    labels: int = 8
    """Number of labelled photos."""
    features: bool = False
    """Also write exact 2D language features in LangSplat's layout, for --pipeline.settings.language-features."""
    encoder: str | None = None
    """Text encoder whose vectors of names the features are; vectors drawn from the names by default."""
    first: int = 0
    """First photo to be taken."""
    last: int | None = None
    """Photo after the last one to be taken; all by default. Cameras, names and start points are written with all."""


def main(options: Options) -> None:
    """Take the photos, then write what depends on none of them."""
    if not 4 <= options.photos <= MOST_PHOTOS or not 16 <= min(options.width, options.height) <= 4096:
        raise SettingsError("photos go from 4 to 20,000, sides from 16 pixels", f"{options.photos} photos")
    survey = Survey(options.photos, (options.width, options.height), options.seed)
    last = min(options.photos, options.photos if options.last is None else options.last)
    take_photos(options, survey, track(range(options.first, last), "photos"))
    if options.last is None:
        town = survey.town()
        files.write_cameras(options.out, survey)
        write_json(options.out / "names.json", {str(k): name for k, name in town.names().items()})
        files.write_start_points(options.out, town, options.points_per_cell)
    say(f"wrote photos {options.first} to {last - 1} of {options.photos} to {options.out}")


def take_photos(options: Options, survey: Survey, numbers: Iterable[int]) -> None:
    """Take and write photos that are not there, with labels and features where they are asked for."""
    town, vectors = survey.town(), _vectors(options)
    labelled = {k * options.photos // max(1, options.labels) for k in range(options.labels)}
    for index in numbers:
        stem = files.name(index)
        lacks_features = options.features and not (options.out / "language_features" / f"{stem}_f.npy").is_file()
        if (options.out / "images" / f"{stem}.jpg").is_file() and not lacks_features:
            continue
        photo = take(town, survey.view(index))
        if lacks_features:
            segments, rows = features(photo, vectors)
            write_langsplat(options.out / "language_features", stem, segments, rows.astype("float16"))
        if index in labelled:
            files.write_labels(options.out, index, photo)
        files.write_photo(options.out, index, photo)


def _vectors(options: Options) -> Vectors:
    if options.encoder is None or not options.features:
        return Vectors()
    from langfield.suite import text_encoder

    return Vectors(text_encoder(options.encoder))


if __name__ == "__main__":
    main(tyro.cli(Options))
