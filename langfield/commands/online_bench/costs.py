"""What language costs where everything else is given: ours a keyframe, and LangSplat's way a frame.

LangSplat's way is counted with this house's parts, which are kinder to it than its own: MobileSAM for ViT-H, our
decoder, no second round of masks on four crops of every picture, nothing for cameras, L1 alone in a colour step.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, TypeVar, cast

import numpy as np
import torch

from langfield.cache import Cache
from langfield.capture.stream import Recorded
from langfield.capture.types import Camera, Frame
from langfield.codec import fit_autoencoder
from langfield.codec.autoencoder import LANGSPLAT_SIZES, AutoencoderSettings
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures
from langfield.field.language import LanguageFit, LanguageSettings, latent_targets
from langfield.fit import language_view, training_view
from langfield.online.features import StageFeatures, quick_settings
from langfield.raster import Gaussians, rasterize
from langfield.raster.threads import kernels_only
from langfield.run import Run
from langfield.segment.types import SegmentSettings
from langfield.settings import RunSettings

T = TypeVar("T")
STEPS_TIMED = 12
EPOCHS_TIMED = 2


@dataclass(frozen=True)
class Published:
    """What LangSplat does to a scene (its preprocess.py, autoencoder/train.py, process.sh; the paper's section 4)."""

    points_per_side: int = 32
    """Prompts along each side of every frame; each is decoded."""
    epochs: int = 100
    """Of its autoencoder, over the vectors of all frames."""
    levels: int = 3
    """Trained one after the other."""
    language_steps: int = 30_000
    """Of each level."""
    colour_steps: int = 30_000
    """Of 3D Gaussian splatting, before."""

    def settings(self) -> RunSettings:
        """Give the settings of its masks and embeddings."""
        return RunSettings(segment=SegmentSettings(points_per_side=self.points_per_side, skip_confident=False))


@dataclass(frozen=True)
class Parts:
    """Seconds of LangSplat's parts."""

    features_s: float
    """Of a frame."""
    epoch_s: float
    """Of an epoch over the vectors of all frames."""
    language_step_s: float
    """Of one level."""
    colour_step_s: float

    def frame_seconds(self, frames: int, what: Published) -> dict[str, float]:
        """Give seconds a frame of language alone, and of colour with it."""
        language = what.epochs * self.epoch_s + what.levels * what.language_steps * self.language_step_s
        alone = self.features_s + language / frames
        colour = what.colour_steps * self.colour_step_s / frames
        return {"language_frame_s": round(alone, 3), "frame_s": round(alone + colour, 3)}


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Give the seconds that something took, and what came of it."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def feature_costs(source: Recorded, ways: Mapping[str, RunSettings], sample: int) -> dict[str, dict[str, float]]:
    """Make the features of a few frames without any cache, one way after the other for each, models loaded before.

    Args:
        source: the stream.
        ways: settings of segmenter and encoder by name.
        sample: how many frames, evenly spread.

    Returns:
        by name seconds a frame on the clock and of processor time, and segments a frame.
    """
    rows = np.linspace(0, len(source) - 1, sample + 2).round().astype(int)[1:-1]
    spent: dict[str, list[tuple[float, float, int]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        makers = {name: StageFeatures(how, Cache(Path(folder) / name)) for name, how in ways.items()}
        for maker in makers.values():
            maker.load()
        for row in rows:
            frame, picture = source[int(row)], source.shots[int(row)].picture
            for name, maker in makers.items():
                processor = time.process_time()
                seconds, found = timed(lambda maker=maker, frame=frame, picture=picture: maker(frame, picture))
                spent[name].append((seconds, time.process_time() - processor, len(found.vectors)))
    fields = ("seconds", "processor_s", "segments")
    return {
        name: {field: round(mean(values), 3) for field, values in zip(fields, zip(*many, strict=True), strict=True)}
        for name, many in spent.items()
    }


def measure_costs(source: Recorded, run: Run, sample: int) -> dict[str, Any]:
    """Give what features cost live and offline, and what LangSplat's way costs a frame of the same stream.

    LangSplat makes features of every frame, fits an autoencoder, and trains colour and then codes on drawn views.
    Features are timed on a sample of frames, training on a few steps, and the rest is calculated.

    Args:
        source: the stream.
        run: of our mode on it, whose Gaussians and features are taken.
        sample: frames whose features are timed.
    """
    what, frames = Published(), len(source)
    ways = {"live": quick_settings(), "offline": RunSettings(), "langsplat": what.settings()}
    features = feature_costs(source, ways, sample)
    views = [(f, found) for f in run.frames if (found := run.features(f)) is not None]
    vectors = torch.cat([found.load()[1] for _, found in views])
    fit_s, codec = timed(
        lambda: fit_autoencoder(vectors, AutoencoderSettings(**{**LANGSPLAT_SIZES, "epochs": EPOCHS_TIMED}))
    )
    parts = Parts(
        features_s=features["langsplat"]["seconds"],
        epoch_s=round(fit_s / EPOCHS_TIMED * frames / len(views), 3),
        language_step_s=round(language_step_seconds(run.field.gaussians, views[0], codec), 4),
        colour_step_s=round(colour_step_seconds(run.field.gaussians, views[0][0]), 4),
    )
    told = {"frames": frames, "steps_timed": STEPS_TIMED, "published": asdict(what), **asdict(parts)}
    return {
        "sample": sample,
        **{f"features_{name}": values for name, values in features.items()},
        "langsplat": told | parts.frame_seconds(frames, what),
    }


def language_step_seconds(gaussians: Gaussians, view: tuple[Frame, FrameFeatures], codec: Codec) -> float:
    """Time LangSplat's training of codes: one view, one level."""
    frame, found = view
    shown = training_view(frame, 320)
    target = language_view(found, codec, shown)
    codes, valid = latent_targets(target.ids[:1], target.codes)
    fit = LanguageFit(gaussians, 1, target.codes.shape[1], LanguageSettings(gather_steps=0))
    return _step_seconds(lambda step: fit.step(step, shown.camera, codes, valid))


def colour_step_seconds(gaussians: Gaussians, frame: Frame) -> float:
    """Time a step of colour: one view drawn, and the gradients of all that a Gaussian is."""
    shown = training_view(frame, 320)
    photo = torch.from_numpy(shown.image).float() / 255
    leaves = Gaussians(*(part.detach().clone().requires_grad_() for part in gaussians.tensors()))
    return _step_seconds(lambda _: _colour_step(leaves, shown.camera, photo))


def _colour_step(gaussians: Gaussians, camera: Camera, photo: torch.Tensor) -> None:
    drawn = cast(torch.Tensor, rasterize(gaussians, camera).colour)
    torch.autograd.grad((drawn - photo).abs().mean(), gaussians.tensors())


def _step_seconds(step: Callable[[int], object]) -> float:
    """Give the median of a few steps, after two that warm up."""
    with kernels_only():
        return median([timed(lambda i=i: step(i))[0] for i in range(STEPS_TIMED + 2)][2:])
