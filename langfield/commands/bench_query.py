"""`langfield bench query`: what a text costs, in 3D, from a new camera and from a still one, beside LangSplat's way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.codec import AutoencoderSettings, Codebook, CodebookSettings, Codec, fit_autoencoder
from langfield.codec.autoencoder import LANGSPLAT_SIZES
from langfield.commands.bench_options import QueryBench
from langfield.errors import SettingsError
from langfield.field.types import Field
from langfield.progress import track
from langfield.query.image import relevancy_of_latents
from langfield.query.relevancy import Phrases
from langfield.query.similarity import Similarity, StillView
from langfield.raster import Gaussians, RasterOptions, rasterize
from langfield.raster.measure.bench import random_scene
from langfield.raster.threads import kernels_only
from langfield.run import open_run

DIM, LEVELS, WORDS = 512, 3, 6
SIZES = ((640, 480), (1440, 1080))
PART = 16
"""LangSplat's decoder is timed on one pixel in so many: it takes seconds."""


@dataclass(frozen=True)
class Times:
    """Wall and processor milliseconds of every call; the latter do not count what others do on the machine."""

    wall: list[float]
    processor: list[float]

    def add(self, work: Callable[[], object]) -> None:
        """Do something and note how long it took."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.processor.append(1e3 * (time.process_time() - processor))
        self.wall.append(1e3 * (time.perf_counter() - wall))

    def row(self, scale: float = 1) -> dict[str, float]:
        """Give medians and the least."""
        found = {"ms": median(self.wall), "least_ms": min(self.wall), "processor_ms": median(self.processor)}
        return {name: round(scale * value, 1) for name, value in found.items()}


def bench_query(what: QueryBench) -> dict[str, Any]:
    """Time questions in 3D over many Gaussians, and in views of a generated field and of a run.

    Raises:
        SettingsError: the run's field is not lifted with a codebook.
        FormatError: the run cannot be read.
    """
    rows = list(_in_space(what))
    for name, field, camera in track(list(_scenes(what)), "bench query"):
        rows += _in_views(name, field, camera, what.repeats)
    found = {"load": round(os.getloadavg()[0], 1), "threads": torch.get_num_threads(), "rows": rows}
    return {**found, "table": table(found)}


def question(seed: int) -> Phrases:
    """Give a made-up text and four canonical ones."""
    g = torch.Generator().manual_seed(seed)
    canonicals = normalize(torch.randn(4, DIM, generator=torch.Generator().manual_seed(9)), dim=-1)
    return Phrases(("thing",), normalize(torch.randn(1, DIM, generator=g), dim=-1), canonicals, {})


def made_up(gaussians: Gaussians) -> Field:
    """Give Gaussians random codes of a random codebook: what a question costs does not depend on what they say."""
    g = torch.Generator().manual_seed(0)
    basis = normalize(torch.randn(1025, DIM, generator=g), dim=-1).half().float()
    codec = Codebook(basis, 0.01, CodebookSettings(terms=WORDS), {})
    codes = torch.randint(-(2**15), 2**15, (LEVELS, len(gaussians), WORDS), generator=g, dtype=torch.int32)
    return Field(gaussians, codes.to(torch.int16), codec, {})


def _in_space(what: QueryBench) -> Iterator[dict[str, Any]]:
    empty = torch.zeros(what.gaussians, 1)
    field = made_up(Gaussians(empty, empty, empty, empty, empty))
    once, asked = Times([], []), Times([], [])
    made: list[Similarity] = []
    once.add(lambda: made.append(Similarity(field)))
    made[0].relevancy(question(0))  # canonical phrases are looked up once
    for seed in range(what.repeats):
        asked.add(lambda seed=seed: made[0].relevancy(question(seed)))
    where = f"{what.gaussians:,} Gaussians in space"
    yield {"where": where, "what": "once per field", **once.row()}
    yield {"where": where, "what": "text, three levels", **asked.row()}


def _scenes(what: QueryBench) -> Iterator[tuple[str, Field, Camera]]:
    for width, height in SIZES:
        gaussians, camera = random_scene(what.drawn, width, height)
        yield f"{what.drawn:,} generated", made_up(gaussians), camera
    if what.run is not None:
        run = open_run(what.run)
        if not isinstance(run.field.codec, Codebook) or run.field.codec.dim != DIM:
            raise SettingsError("bench query takes a field with a codebook", what.run, "lift one")
        for width, height in SIZES:
            yield what.run.name, run.field, next(iter(run.views.values())).resized(width, height)


def _in_views(name: str, field: Field, camera: Camera, repeats: int) -> Iterator[dict[str, Any]]:
    similarity, decoder = Similarity(field), _langsplat()
    first, again, drawn, decoded = (Times([], []) for _ in range(4))
    codes = normalize(torch.randn(len(field.gaussians), LEVELS * 3), dim=-1)
    views = [StillView(field, camera, similarity)]
    views[0].maps(question(0))
    for seed in range(repeats):
        first.add(lambda seed=seed: StillView(field, camera, similarity).maps(question(seed)))
        again.add(lambda seed=seed: views[0].maps(question(seed)))
        drawn.add(lambda: _draw(field, camera, codes))
        if seed == 0:
            pixels = torch.randn(LEVELS * camera.width * camera.height // PART, 3)
            decoded.add(lambda pixels=pixels: relevancy_of_latents(pixels, decoder, question(0)))
    where = f"{name}, {camera.width}x{camera.height}"
    peer = drawn.row()["processor_ms"] + PART * decoded.row()["processor_ms"]
    for what, times in (("new camera", first), ("still camera", again)):
        row = times.row()
        yield {"where": where, "what": what, **row, "langsplat_ratio": round(peer / row["processor_ms"], 1)}
    yield {"where": where, "what": "LangSplat: codes drawn", **drawn.row()}
    yield {"where": where, "what": "LangSplat: every pixel decoded (from 1/16)", **decoded.row(PART)}


def _draw(field: Field, camera: Camera, codes: Tensor) -> None:
    with kernels_only():
        rasterize(field.gaussians, camera, codes, RasterOptions(colour=False))


def _langsplat() -> Codec:
    vectors = normalize(torch.randn(64, DIM, generator=torch.Generator().manual_seed(0)), dim=-1)
    return fit_autoencoder(vectors, AutoencoderSettings(**{**LANGSPLAT_SIZES, "epochs": 1}))


def table(found: dict[str, Any]) -> str:
    """Give the rows as a table for people."""
    names = ("where", "what", "ms", "least_ms", "processor_ms", "langsplat_ratio")
    rows = [names, *([str(row.get(name, "")) for name in names] for row in found["rows"])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"medians; {found['threads']} threads, load {found['load']}", *lines])
