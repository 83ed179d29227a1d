"""The stages before training, on a cluster: what `prepare_frames`, `segment_frames` and `embed_frames` leave in the
cache, so that the ordinary command finds all of it there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from langfield.capture import read_capture
from langfield.capture.types import Capture, Frame
from langfield.cluster.photos import fail, make_features, make_frames
from langfield.cluster.store import Store
from langfield.cluster.types import Tally, Workers
from langfield.embed import FrameFeatures
from langfield.settings import RunSettings
from langfield.stages import choose_views, prepare_frames, split_views


@dataclass(frozen=True)
class Prepared:
    """What the stages before training have left."""

    capture: Capture
    training: tuple[Frame, ...]
    features: dict[str, FrameFeatures]
    """Of the training frames, by name."""
    left_out: tuple[str, ...]
    """Names of photos that could not be used."""
    tallies: tuple[Tally, ...]


def prepare(data: Path, settings: RunSettings, pool: Workers, store: Store) -> Prepared:
    """Make frames, masks and embeddings of a capture on workers.

    Photos that cannot be read are said, left out and listed; the result is that of a capture without them.

    Raises:
        FormatError: the capture cannot be read, or too few of its photos.
        LangfieldError: a problem of all photos, see `Pool.map`.
    """
    tallies = Tally("photos"), Tally("features")
    damaged: dict[str, str] = {}
    chosen = choose_views(read_capture(data, damaged=damaged), settings.max_views)
    for name, why in damaged.items():
        fail(tallies[0], name, why)
    made = make_frames(pool, chosen, store, settings, tallies[0])
    left_out = [*damaged, *(f.name for f in chosen.frames if f.name not in made)]
    capture = prepare_frames(data, settings, store.cache, left_out, made)
    training = split_views(capture.frames, settings.hold_out_every)[0]
    features = make_features(pool, training, store, settings, tallies[1])
    return Prepared(capture, tuple(training), features, tuple(left_out), tallies)
