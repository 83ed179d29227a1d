"""The rows of the table: what makes a language field of trained Gaussians, and in what time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import content_key, read_json, write_json
from langfield.codec import AutoencoderSettings, Codec, fit_autoencoder, fit_codebook, fit_identity, fit_pca
from langfield.codec.autoencoder import LANGSPLAT_SIZES
from langfield.commands.field_bench.baseline import PUBLISHED, PUBLISHED_STEPS, fit_until_still, paint
from langfield.commands.field_bench.scene import Geometry, Scene, seeded
from langfield.field.instance_build import lift_things
from langfield.field.lift_solve import LiftView
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from langfield.fit import lift_view
from langfield.settings import RunSettings

BASELINE = "LangSplat"
LIFTED = ("codebook", "pca", "identity")
ROWS = (BASELINE, *LIFTED)
FIT_VERSION = 1
"""Raised when the baseline's fit changes what it finds."""
TIMED_STEPS, TIMED_EPOCHS = 40, 10


def published(settings: RunSettings) -> AutoencoderSettings:
    """Give LangSplat's layers with the seed of these settings, as `ns-train langsplat-paper` has them."""
    return AutoencoderSettings(**LANGSPLAT_SIZES, seed=settings.codec.seed)


CODECS: Mapping[str, Callable[[Float[Tensor, "M D"], RunSettings], Codec]] = {
    BASELINE: lambda vectors, settings: fit_autoencoder(vectors, published(settings)),
    "codebook": lambda vectors, settings: fit_codebook(vectors, settings.codebook),
    "pca": lambda vectors, settings: fit_pca(vectors, settings.pca_width),
    "identity": lambda vectors, _: fit_identity(vectors),
}


@dataclass(frozen=True)
class Made:
    """A field of one row and seed."""

    field: Field
    about: Mapping[str, Any]
    """Fidelity of the codec; of the baseline also how its fit went."""


def lift_views(scene: Scene) -> list[LiftView]:
    """Read the 2D features of all training views."""
    return [lift_view(f, frame.camera) for f, frame in zip(scene.features, scene.training, strict=True)]


def make(row: str, scene: Scene, geometry: Geometry, seed: int) -> Made:
    """Make the field of a row; the baseline's, which takes minutes, is kept in the cache."""
    if row == BASELINE:
        return _baseline(scene, geometry, seed)
    return _lifted(row, scene, geometry, seeded(scene.settings, seed))


def _lifted(row: str, scene: Scene, geometry: Geometry, settings: RunSettings) -> Made:
    codec = CODECS[row](scene.vectors(), settings)
    found, things = lift_things(geometry.gaussians, lift_views(scene), codec, settings.lift, settings.instances)
    field = Field(geometry.gaussians, found.codes, codec, scene.provenance(), found.reliability, things)
    return Made(field, {"fidelity": codec.about()["fidelity"]})


def _baseline(scene: Scene, geometry: Geometry, seed: int) -> Made:
    settings = seeded(scene.settings, seed)
    key = content_key(
        "baseline", FIT_VERSION, geometry.key, [f.embeddings.stem for f in scene.features], published(settings),
        PUBLISHED, settings.train_side_px, settings.seed,
    )  # fmt: skip
    folder = scene.cache.path("baseline", key, "")
    if not scene.cache.has("baseline", folder / "about.json"):
        shutil.rmtree(folder, ignore_errors=True)
        codec = CODECS[BASELINE](scene.vectors(), settings)
        views = paint(lift_views(scene), codec, settings.train_side_px)
        found = fit_until_still(geometry.gaussians, views, settings.seed)
        save_field(folder, Field(geometry.gaussians, found.codes, codec, scene.provenance()))
        about = {"steps": found.steps, "l1": found.l1, "still": found.still, "fidelity": codec.about()["fidelity"]}
        write_json(folder / "about.json", about)
    return Made(load_field(folder), read_json(folder / "about.json"))


def time_row(row: str, scene: Scene, geometry: Geometry, seed: int, steps: int = 0) -> dict[str, float]:
    """Measure a row's seconds from 2D features on disk to a field that can be asked.

    Args:
        row: which.
        scene, geometry, seed: of what.
        steps: of the baseline, how many it took until it stood still.

    Returns:
        `seconds`; of the baseline also `extrapolated_s` (the published number of steps), `ms_per_step` and `codec_s`:
        it is timed on some epochs and steps, and the rest is multiplied.
    """
    settings = seeded(scene.settings, seed)
    if row != BASELINE:
        start = time.perf_counter()
        _lifted(row, scene, geometry, settings)
        return {"seconds": time.perf_counter() - start}
    full = published(settings)
    start = time.perf_counter()
    codec = fit_autoencoder(scene.vectors(), replace(full, epochs=TIMED_EPOCHS))
    codec_s = (time.perf_counter() - start) * full.epochs / TIMED_EPOCHS
    start = time.perf_counter()
    views = paint(lift_views(scene), codec, settings.train_side_px)
    paint_s = time.perf_counter() - start
    ms = min(fit_until_still(geometry.gaussians, views, settings.seed, TIMED_STEPS).ms_per_step for _ in range(2))
    before = codec_s + paint_s
    return {
        "seconds": before + steps * ms / 1000, "extrapolated_s": before + PUBLISHED_STEPS * ms / 1000,
        "ms_per_step": ms, "codec_s": codec_s,
    }  # fmt: skip


def bytes_per_gaussian(field: Field) -> dict[str, float]:
    """Count what the language part of a field's file takes of each Gaussian: codes, and what stands beside them."""
    parts = {"codes": [field.codes], "reliability": [field.reliability]}
    parts["things"] = [*field.instances.tensors().values()] if field.instances else []
    sizes = {name: sum(t.element_size() * t.numel() for t in some if t is not None) for name, some in parts.items()}
    return {name: size / len(field.gaussians) for name, size in sizes.items()}
