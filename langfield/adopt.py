"""Splats trained elsewhere become a run: their geometry stays as it is, and the language stage is lifted onto them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from langfield.artefacts import content_key, file_key
from langfield.cache import Cache, open_cache
from langfield.capture.types import Capture, Frame
from langfield.cluster.session import Session
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures, embed_frames
from langfield.errors import FormatError
from langfield.field.instance_build import lift_things
from langfield.field.instances import Instances
from langfield.field.lift_solve import Lifted, check_lift
from langfield.field.sog import read_splats
from langfield.field.types import Field
from langfield.fit import TrainingView, lift_view, training_view
from langfield.interchange import feature_bytes
from langfield.progress import say, track
from langfield.raster import rasterize
from langfield.raster.types import Gaussians
from langfield.run import ManifestHead, RunLock, provenance_of, unfinished_runs, write_manifest, write_results
from langfield.settings import RunSettings
from langfield.stages import make_codec, needed_weights, prepare_frames, segment_frames, split_views
from langfield.weights import require

ADOPT_SETTINGS = RunSettings(hold_out_every=0)
METHOD = "import"
MIN_COVER = 0.05
"""Share of a picture that the splats must cover to count as seen in it."""
REMEDY = (
    "check that splats and cameras lie in the same frame: not moved, turned or scaled by the trainer "
    "(nerfstudio does so unless told otherwise), and axes as the capture has them"
)


@dataclass(frozen=True)
class ViewFit:
    """How splats look through one camera, against its photo."""

    cover: float
    """Mean alpha, 0 to 1."""
    explained: float
    """1 - squared error / squared deviation of the photo from its mean colour, both weighted by alpha; 1 is perfect,
    0 no better than one colour, below 0 worse than that."""
    psnr_db: float
    """Over black."""


def adopt(
    splats: Path, data: Path, out: Path, settings: RunSettings = ADOPT_SETTINGS, session: Session | None = None
) -> Path:
    """Make a run of splats trained elsewhere: masks, embeddings, codec and lift, with geometry as it is.

    The same call resumes an unfinished run; every stage comes from the cache where it can.

    Args:
        splats: a 3DGS PLY, a SOG folder or its meta.json, in the frame of the capture.
        data: the capture: pictures with cameras.
        out: folder of runs; the run is made in OUT/SCENE/import/TIME.
        settings: of the stages; those of the colour stage have no effect, and the language mode is always lift.
        session: a cluster that does the work, None to do it here.

    Returns:
        The run's folder.

    Raises:
        FormatError: splats or capture cannot be read, or the splats do not look like the pictures.
        SettingsError: a setting is out of range.
        StorageError: the run cannot be written.
    """
    settings = replace(settings, language=replace(settings.language, mode="lift"))
    check_lift(settings.lift)
    for name in needed_weights(settings):
        require(name)
    gaussians = usable(read_splats(splats), splats)
    sources = _source_files(splats)
    head = ManifestHead(content_key(str(data.resolve()), settings.key(), sources), settings, data.resolve())
    redo = settings.redo if session is None else ()  # a session does again what is to be done again
    work = _Work(gaussians, settings, open_cache(settings.cache_dir, redo), {}, session)
    left_out = work.timed("cluster", lambda: session.prepare(data).left_out) if session is not None else ()
    capture = work.timed("frames", lambda: prepare_frames(data, settings, work.cache, left_out))
    fits = work.timed("check", lambda: check_views(gaussians, capture, settings.train_side_px))
    folder = _folder(out / data.resolve().name / METHOD, head)
    lock = RunLock(folder)
    try:
        write_manifest(folder, head, "running", work.seconds, {})
        about = _finish(folder, work, capture, {"fits": fits, "splats": sources})
        if session is not None:
            about["cluster"] = session.about()
        write_manifest(folder, head, "finished", work.seconds, about)
    finally:
        lock.release()
    return folder


@dataclass(frozen=True)
class _Work:
    gaussians: Gaussians
    settings: RunSettings
    cache: Cache
    seconds: dict[str, float]
    session: Session | None = None

    def codec(self, features: Sequence[FrameFeatures]) -> Codec:
        if self.session is not None:
            return self.session.codec(features)
        return make_codec(features, self.settings, self.cache)

    def lift(
        self, frames: Sequence[Frame], features: Sequence[FrameFeatures], codec: Codec
    ) -> tuple[Lifted, Instances | None]:
        if self.session is not None:
            views = [(f.camera, found) for f, found in zip(frames, features, strict=True)]
            return self.session.lift(views, self.gaussians, codec)
        seen = [lift_view(found, f.camera) for found, f in zip(features, frames, strict=True)]
        return lift_things(self.gaussians, seen, codec, self.settings.lift, self.settings.instances)

    def timed(self, stage: str, work: Any) -> Any:
        start = time.monotonic()
        result = work()
        self.seconds[stage] = time.monotonic() - start
        return result


def usable(gaussians: Gaussians, where: Path) -> Gaussians:
    """Leave out Gaussians with numbers that are not finite, which viewers do not draw either, and say how many.

    Raises:
        FormatError: none is left.
    """
    finite = torch.stack([t.reshape(len(t), -1).isfinite().all(1) for t in gaussians.tensors()]).all(0)
    if not finite.any():
        raise FormatError(f"none of {len(gaussians)} Gaussians is usable", where, "export the splats again")
    if finite.all():
        return gaussians
    say(f"{int((~finite).sum())} of {len(gaussians)} Gaussians hold numbers that are not finite and are left out")
    return Gaussians(*(t[finite] for t in gaussians.tensors()))


def check_views(gaussians: Gaussians, capture: Capture, side_px: int) -> dict[str, ViewFit]:
    """Draw every view and refuse splats that do not look like the photos.

    Args:
        gaussians: the splats.
        capture: prepared frames.
        side_px: longer side at which views are drawn.

    Raises:
        FormatError: nothing is visible in most views, or most drawn views are no nearer to their photos than one
            colour would be.
    """
    fits = {f.name: view_fit(gaussians, training_view(f, side_px)) for f in track(capture.frames, "check splats")}
    covers = sorted(f.cover for f in fits.values())
    if sum(c < MIN_COVER for c in covers) * 2 > len(covers):
        empty = sum(c < MIN_COVER for c in covers)
        raise FormatError(f"in {empty} of {len(covers)} views the splats are not to be seen", capture.root, REMEDY)
    unlike = sum(f.explained <= 0 for f in fits.values())
    if unlike * 2 > len(fits):
        raise FormatError(
            f"in {unlike} of {len(fits)} views the splats look less like the photo than one plain colour",
            capture.root, REMEDY,
        )  # fmt: skip
    return fits


@torch.no_grad()
def view_fit(gaussians: Gaussians, view: TrainingView) -> ViewFit:
    """Compare what splats look like through a camera with its photo, where they cover it."""
    drawn = rasterize(gaussians, view.camera)
    if drawn.colour is None:  # cannot be: colour is drawn by default
        raise RuntimeError("the rasterizer gave no colour")
    photo, alpha = view.target(), drawn.alpha[..., None]
    covered = alpha.sum().clamp_min(1e-6)
    mean = (alpha * photo).sum((0, 1)) / covered
    error = (alpha * (drawn.colour.clamp(0, 1) / alpha.clamp_min(1e-3) - photo).square()).sum()
    spread = (alpha * (mean - photo).square()).sum().clamp_min(1e-6)
    mse = (drawn.colour.clamp(0, 1) - photo).square().mean().clamp_min(1e-10)
    return ViewFit(float(drawn.alpha.mean()), float(1 - error / spread), float(-10 * mse.log10()))


def _source_files(splats: Path) -> dict[str, str]:
    """Give the SHA-256 of every file that the splats were read from, by name."""
    files = [splats]
    if splats.is_dir() or splats.suffix == ".json":
        folder = splats if splats.is_dir() else splats.parent
        files = [folder / "meta.json", *sorted(folder.glob("*.webp"))]
    return {path.name: file_key(path) for path in files}


def _folder(method_folder: Path, head: ManifestHead) -> Path:
    """Give the folder of the unfinished run of the same inputs and settings, or a new one."""
    unfinished = unfinished_runs(method_folder, head.settings_key)
    if unfinished:
        say(f"going on with the unfinished run {unfinished[-1]}")
        return unfinished[-1]
    return method_folder / datetime.now().astimezone().strftime("%Y-%m-%d_%H%M%S")


def _finish(folder: Path, work: _Work, capture: Capture, facts: dict[str, Any]) -> dict[str, Any]:
    """Run the language stages and write the run; gives what the manifest says about it."""
    settings, cache = work.settings, work.cache
    training, held_out = split_views(capture.frames, settings.hold_out_every)
    segments = work.timed("masks", lambda: segment_frames(training, settings, cache))
    features: list[FrameFeatures] = work.timed("embeddings", lambda: embed_frames(training, segments, settings, cache))
    codec = work.timed("codec", lambda: work.codec(features))
    lifted, things = work.timed("language", lambda: work.lift(training, features, codec))
    by_name = {f.name: found for f, found in zip(training, features, strict=True)}
    coloured_by = None if work.session is None else work.session.coloured_by
    unseen = {f.name for f in held_out} if coloured_by else set[str]()  # who knows what others trained on
    quality = _quality(facts["fits"], len(work.gaussians), unseen)
    provenance = provenance_of(capture, by_name, settings) | {"quality": quality}
    provenance["inputs"]["splats"] = facts["splats"]
    field = Field(work.gaussians, lifted.codes, codec, provenance, lifted.reliability, things)
    write_results(folder, field, capture, by_name)
    return {
        "quality": quality,
        "codec": codec.about(),
        "features": feature_bytes(features),
        "training_views": [f.name for f in training],
        "held_out_views": [f.name for f in held_out],
        "notes": [*capture.notes, coloured_by or "splats trained elsewhere"],
    }


def _quality(fits: dict[str, ViewFit], gaussians: int, unseen: Collection[str]) -> dict[str, Any]:
    seen = [f.psnr_db for name, f in fits.items() if name not in unseen]
    kept_out = [fits[name].psnr_db for name in unseen]
    return {"psnr_training_db": _mean(seen), "psnr_held_out_db": _mean(kept_out), "gaussians": gaussians}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
