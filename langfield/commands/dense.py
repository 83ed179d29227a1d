"""What `langfield weights dense` does: lessons from scenes, training, measuring on scenes held out, the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize

from langfield.artefacts import plain, write_bytes, write_json
from langfield.cache import open_cache
from langfield.capture.images import read_picture
from langfield.capture.types import Camera, Frame
from langfield.codec.two_stage_fit import StageOneSettings
from langfield.commands.stage_one import TEST_VIEWS, look_at, teach_stage_one
from langfield.device import Device, model_device
from langfield.embed import embed_frames
from langfield.errors import SettingsError
from langfield.evaluate.dense import bilinear, name_picture, names_iou, nearest_names
from langfield.evaluate.labels import read_labels
from langfield.progress import track
from langfield.settings import RunSettings
from langfield.stages import prepare_frames, segment_frames
from langfield.suite import text_encoder
from langfield.suite.dense import UP, DenseEncoder, Upsampler, tower
from langfield.suite.dense_card import Trial, card
from langfield.suite.dense_train import Lesson, Recipe, make_lessons, train_upsampler, write_upsampler
from langfield.suite.patches import Patches
from langfield.suite.tables import read_table
from langfield.suite.vit import Vit, cast

MOST_VIEWS = 40
"""Pictures of a scene that are learned from, at most, evenly spaced."""


@dataclass(frozen=True)
class Taught:
    """What scenes gave to learn from."""

    pictures: dict[str, int]
    lessons: list[Lesson]


def teach(scenes: Sequence[Path], vit: Vit, settings: RunSettings, recipe: Recipe) -> Taught:
    """Take scenes through the stages (cached as ever) and the tower."""
    cache = open_cache(settings.cache_dir, settings.redo)
    pictures, lessons = {}, []
    for scene in scenes:
        frames = prepare_frames(scene, settings, cache).frames
        features = embed_frames(frames, segment_frames(frames, settings, cache), settings, cache)
        for frame, found in track(list(zip(frames, features, strict=True)), f"lessons of {scene.name}"):
            segments, rows = found.load()
            if len(rows):
                lessons += make_lessons(vit, read_picture(frame.path), segments, rows, recipe)
        pictures[scene.name] = len(frames)
    if not lessons:
        raise SettingsError("no picture has a segment", ", ".join(str(s) for s in scenes), "name other scenes")
    return Taught(pictures, lessons)


def pictures_of(scene: Path) -> list[Frame]:
    """Give a scene's pictures, from its folder images or rgb, as frames whose cameras mean nothing."""
    nowhere = Camera(torch.eye(3), 1, 1, torch.eye(4))
    found = [p for folder in ("images", "rgb") for p in sorted((scene / folder).glob("*.*"))]
    return [Frame(p.name, p, nowhere) for p in found]


def measure(scene: Path, vit: Vit, nets: Sequence[Upsampler], settings: RunSettings) -> list[float]:
    """Give the mean IoU over a labelled scene's names of bilinear patches, then of each net.

    Args:
        scene: folder with pictures in images or rgb, and their labels in label.
        vit: the tower.
        nets: upsamplers.
        settings: name the text encoder.

    Raises:
        FormatError: the scene has no labels.
    """
    frames = pictures_of(scene)
    queries = read_labels(scene / "label", frames).queries
    names = sorted({q.text for q in queries})
    vectors = normalize(text_encoder(settings.text_encoder).encode_texts(names).float(), dim=1)
    wanted, found = {}, [{} for _ in range(len(nets) + 1)]
    labelled = [f for f in frames if any(q.frame == f.name for q in queries)]
    for frame in track(labelled, f"measuring on {scene.name}"):
        picture = read_picture(frame.path)
        size = picture.shape[:2]
        wanted[frame.name] = name_picture([q for q in queries if q.frame == frame.name], names, *size)
        patches = DenseEncoder(vit, Upsampler(), {}).patches(picture)
        patches = Patches(*(t.cpu() for t in (patches.pixels, patches.early, patches.vectors)))
        with torch.no_grad():
            maps = [bilinear(patches.vectors, UP), *(net.eval()(patches).permute(1, 2, 0) for net in nets)]
        for into, features in zip(found, maps, strict=True):
            into[frame.name] = nearest_names(features, vectors, (size[0], size[1]))
    return [float(np.nanmean(names_iou(one, wanted, len(names)))) for one in found]


def train_dense_weights(
    scenes: Sequence[Path], tests: Sequence[Path], out: Path, recipe: Recipe, device: Device
) -> list[Trial]:
    """Train upsampler and first autoencoder on scenes, measure the one on others, and write files and card.

    Args:
        scenes: captures.
        tests: captures with a folder `label`, none of them among `scenes`.
        out: gets upsampler.safetensors, trials.json and README.md, and what `train_stage_one` writes.
        recipe: how the upsampler is trained.
        device: where.

    Raises:
        SettingsError: a scene is both learned from and measured on, or there is nothing to learn from.
    """
    _apart(scenes, tests)
    settings = RunSettings(max_views=MOST_VIEWS, device=device)
    place = model_device(device)
    vit = cast(tower(), place)
    taught = teach(scenes, vit, settings, recipe)
    net = train_upsampler(taught.lessons, recipe, place)
    names = tuple(taught.pictures)
    whole = RunSettings(device=device)
    scores = [(test, measure(test, vit, [net], whole)) for test in tests]
    trials = [Trial(test.name, names, recipe.seed, rough, learned) for test, (rough, learned) in scores]
    about = {"recipe": plain(recipe), "scenes": taught.pictures, "trials": plain(trials)}
    path = write_upsampler(out, net, about)
    write_json(out / "trials.json", trials)
    write_bytes(out / "README.md", card(path.stat().st_size, taught.pictures, trials, recipe).encode())
    train_stage_one(scenes, tests, out, recipe.seed, device)
    return trials


def train_stage_one(
    scenes: Sequence[Path], tests: Sequence[Path], out: Path, seed: int, device: Device, words: Path | None = None
) -> None:
    """Train the first autoencoder on scenes' pictures, measure it on others, and write its file and card.

    Args:
        scenes: folders with pictures in images or rgb.
        tests: others.
        out: folder.
        seed: draws weights and order.
        device: where pictures go through the tower.
        words: text table (`langfield.suite.tables`) whose words say which directions count more.

    Raises:
        SettingsError: a scene is both learned from and measured on, or there is nothing to learn from.
    """
    _apart(scenes, tests)
    vit = cast(tower(), model_device(device))
    taught = [look_at(s.name, [f.path for f in pictures_of(s)], vit) for s in scenes]
    left_out = [look_at(s.name, [f.path for f in pictures_of(s)], vit, TEST_VIEWS) for s in tests]
    target = None if words is None else read_table(words).target
    teach_stage_one(
        taught, left_out, out, StageOneSettings(seed=seed), None if target is None else torch.from_numpy(target)
    )


def _apart(scenes: Sequence[Path], tests: Sequence[Path]) -> None:
    both = {s.resolve() for s in scenes} & {t.resolve() for t in tests}
    if both:
        raise SettingsError("a scene cannot be learned from and measured on", next(iter(both)), "name it once")
