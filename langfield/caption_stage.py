"""Words for the states of things: captions of every track, their sentence embeddings and the codec of those; cached.

A model is asked about our tracks. A file of captions that are there already speaks of its own things: where it was
written for these tracks they go by number, otherwise by name (`suite.captions.matching`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.cache import Cache
from langfield.capture.images import read_picture
from langfield.capture.types import Frame
from langfield.codec import AutoencoderSettings, fit_autoencoder, fit_identity, fit_pca, load_codec
from langfield.codec.types import Codec
from langfield.device import Device, model_device, moved
from langfield.errors import FormatError
from langfield.progress import say
from langfield.query.relevancy import CANONICALS
from langfield.suite import DEFAULT_TEXT_ENCODER, text_encoder
from langfield.suite.captions import captioner
from langfield.suite.captions.kept import Kept
from langfield.suite.captions.matching import match_names
from langfield.suite.captions.plan import Asking, Clip, Track, caption_clip
from langfield.suite.captions.prompting import Kind, Prompt, load_prompt
from langfield.suite.captions.settings import CaptionSettings
from langfield.suite.captions.store import Captions, read_captions
from langfield.suite.sentences import sentence_encoder
from langfield.tracks import Tracks, sequences

VERSION = 1
MAPS_HELD = 16


@dataclass(frozen=True)
class Spoken:
    """What is said of the O things of a video at its T times."""

    captions: Captions
    """The words; instance is thing + 1. Its provenance holds that of the sentence encoder under "encoder"."""
    times_s: Float64[Tensor, " T"]
    """Rising, seconds."""
    vectors: Float[Tensor, "O T D"]
    """Sentence embeddings, unit vectors; zero where nothing was said."""
    said: Bool[Tensor, "O T"]
    video: Float[Tensor, "O D"]
    """Sentence embedding of each thing's caption of the video; zero where there is none."""
    codec: Codec
    """Of all these vectors."""

    def codes(self) -> Float[Tensor, "O T s"]:
        """Give the codes of what was said; zero where nothing was."""
        codes = self.codec.encode(self.vectors.flatten(0, 1)).float()
        return codes.unflatten(0, self.said.shape) * self.said[..., None]


def make_captions(
    frames: Sequence[Frame],
    tracks: Tracks,
    settings: CaptionSettings,
    cache: Cache,
    tower: str = DEFAULT_TEXT_ENCODER,
    device: Device = "auto",
) -> Spoken | None:
    """Caption every thing of a video, or read the captions back; None where nobody says anything.

    Args:
        frames: those of the tracks.
        tracks: the things.
        settings: how, with "auto" decided (`CaptionSettings.beside`).
        cache: where captions, paid for once, and their embeddings are kept.
        tower: text encoder by which names in a file of captions find their tracks; of the tracks' space.
        device: where a transformers model runs.

    Raises:
        SettingsError: a setting lies outside its range.
        EnvironmentProblem: a model cannot be reached or had.
        FormatError: a file is damaged, or none of its things is among the tracks.
    """
    kind, _, where = settings.source.partition(":")
    if settings.source in ("none", "auto"):
        return None
    if kind == "file":
        captions = matched(read_captions(Path(where)), tracks, tower)
    else:
        captions = _asked(frames, tracks, settings, (cache, device))
    for note in captions.notes:
        say(f"captions: {note}")
    return embed_captions(captions, tracks, settings, cache)


def matched(captions: Captions, tracks: Tracks, tower: str) -> Captions:
    """Give captions of a file as those of tracks.

    Raises:
        FormatError: none of its things is among the tracks.
    """
    if captions.provenance.get("tracks") == tracks.key:
        return captions
    encoder = text_encoder(tower)
    names = [o.name or o.video for o in captions.objects]
    vectors = [
        torch.nn.functional.normalize(encoder.encode_texts(t).float(), dim=1).numpy() for t in (names, CANONICALS)
    ]
    things = match_names(vectors[0], vectors[1], tracks.vectors.numpy())
    pairs = list(zip(captions.objects, things, strict=True))
    objects = tuple(replace(o, instance=thing + 1) for o, thing in pairs if thing is not None)
    if not objects:
        raise FormatError("none of the things of the captions is among the tracks", ", ".join(names)[:200])
    notes = tuple(f"{o.name!r} was found in no track" for o, thing in pairs if thing is None)
    about = {**captions.provenance, "tracks": tracks.key, "matched_by": tower}
    return Captions(objects, captions.times_s, (*captions.notes, *notes), about)


def _asked(frames: Sequence[Frame], tracks: Tracks, settings: CaptionSettings, where: tuple[Cache, Device]) -> Captions:
    """Ask a model about every thing, each in the video of the camera that sees most of it."""
    cache, device = where
    inner = moved(captioner(settings.source), model_device(device))
    words = (_prompt("video", settings.video_prompt), _prompt("frame", settings.frame_prompt))
    asking = Asking(Kept(inner, cache.root / "captions"), *words)
    maps = lru_cache(MAPS_HELD)(tracks.ids)
    videos = sequences(frames)
    area = np.array([np.bincount(maps(i).ravel(), minlength=len(tracks) + 1)[1:] for i in range(len(frames))])
    seen = np.array([area[rows].sum(axis=0) for rows in videos])
    parts = []
    for rows, best in zip(videos, seen.argmax(axis=0) == np.arange(len(videos))[:, None], strict=True):
        clip = _clip([frames[i] for i in rows])
        things = [
            Track(int(o) + 1, "", _Masks(maps, int(o), [(n, i) for n, i in enumerate(rows) if area[i, o]]))
            for o in np.flatnonzero(best)
        ]
        parts.append(caption_clip(clip, things, asking, settings.plan))
    objects = sorted((o for part in parts for o in part.objects), key=lambda o: o.instance)
    times = {name: t for part in parts for name, t in part.times_s.items()}
    notes = tuple(note for part in parts for note in part.notes)
    return Captions(tuple(objects), times, notes, {**parts[0].provenance, "tracks": tracks.key})


def _prompt(kind: Kind, source: str) -> Prompt:
    return load_prompt(kind, Path(source) if "/" in source or source.endswith(".txt") else source)


def _clip(frames: Sequence[Frame]) -> Clip:
    times = np.array([f.camera.time_s for f in frames], np.float64)
    return Clip([f.name for f in frames], times, _Pictures(frames))


class _Pictures(Sequence[Any]):
    """Pictures read as they are asked for."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, row: Any) -> Any:
        return read_picture(self._frames[row].path)


class _Masks(Mapping[int, Any]):
    """The pixels of one thing in each picture of a video, read as they are asked for."""

    def __init__(self, maps: Any, thing: int, places: Sequence[tuple[int, int]]) -> None:
        self._maps, self._thing, self._places = maps, thing, dict(places)

    def __getitem__(self, number: int) -> Bool[np.ndarray, "H W"]:
        return self._maps(self._places[number]) == self._thing + 1

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def embed_captions(captions: Captions, tracks: Tracks, settings: CaptionSettings, cache: Cache) -> Spoken:
    """Embed captions, put them where they belong in things and times, and fit their codec; cached by their words.

    Captions of pictures that are not among the tracks' are left out; of pictures of one time the first counts.

    Raises:
        FormatError: nothing is said of any picture.
    """
    times = sorted(set(tracks.times_s))
    column = {name: times.index(t) for name, t in zip(tracks.names, tracks.times_s, strict=True)}
    places: dict[tuple[int, int], str] = {}
    for instance, picture, text in captions:
        if picture in column and 0 < instance <= len(tracks):
            places.setdefault((instance - 1, column[picture]), text)
    if not places:
        raise FormatError("captions say nothing of any picture", remedy="name pictures as the capture does")
    videos = {o.instance - 1: o.video for o in captions.objects if o.video and 0 < o.instance <= len(tracks)}
    texts = sorted({*places.values(), *videos.values()})
    table, about = _embedded(texts, settings, cache)
    row = {text: i for i, text in enumerate(texts)}
    vectors = table.new_zeros(len(tracks), len(times), table.shape[1])
    for (thing, t), text in places.items():
        vectors[thing, t] = table[row[text]]
    video = table.new_zeros(len(tracks), table.shape[1])
    for thing, text in videos.items():
        video[thing] = table[row[text]]
    captions = replace(captions, provenance={**captions.provenance, "encoder": about})
    at = torch.tensor(times, dtype=torch.float64)
    codec = _codec(table, settings, cache)
    return Spoken(captions, at, vectors, (vectors != 0).any(-1), video, codec)


def _embedded(
    texts: Sequence[str], settings: CaptionSettings, cache: Cache
) -> tuple[Float[Tensor, "V D"], dict[str, Any]]:
    path = cache.path("sentences", content_key("sentences", VERSION, texts, settings.sentences), ".safetensors")
    if not cache.has("sentences", path):
        encoder = sentence_encoder(settings.sentences)
        write_tensors(path, {"vectors": encoder.encode_texts(texts)}, encoder.provenance)
    tensors, about = read_tensors(path)
    table = tensors.get("vectors")
    if table is None or table.ndim != 2 or len(table) != len(texts) or not torch.isfinite(table).all():
        raise FormatError("no sentence embeddings of these captions", path, "delete it, and run the stage again")
    return torch.nn.functional.normalize(table.float(), dim=1), about


def _codec(table: Float[Tensor, "V D"], settings: CaptionSettings, cache: Cache) -> Codec:
    """Fit the codec of captions, or read it back; every different caption counts once."""
    how = settings.compress, settings.width
    key = content_key("caption codec", VERSION, table, how)
    path = cache.path("captions codec", key, ".safetensors")
    if not cache.has("sentences", path):
        vectors = table if len(table) > 1 else table.repeat(2, 1)
        if settings.compress == "pca":
            codec: Codec = fit_pca(vectors, min(settings.width, vectors.shape[1]))
        elif settings.compress == "identity":
            codec = fit_identity(vectors)
        else:
            codec = fit_autoencoder(vectors, AutoencoderSettings(latent=settings.width))
        write_tensors(path, codec.tensors(), codec.about())
    return load_codec(*read_tensors(path))
