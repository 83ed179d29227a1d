"""`langfield bench NAME`: speed and quality, as ratios from one run on this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from langfield.artefacts import plain
from langfield.commands.bench_options import (
    FIELD,
    INPUTS,
    QUERY,
    RASTER,
    VIEWER,
    FieldBench,
    Inputs,
    QueryBench,
    RasterBench,
    ViewerBench,
)
from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError

Name = Literal["raster", "field", "query", "kernels", "gpu", "full", "masks", "labels", "bridge", "towers", "viewer"]


def bench(
    name: Annotated[Name, tyro.conf.Positional], json: bool = False,
    raster: tyro.conf.OmitArgPrefixes[RasterBench] = RASTER,
    field: tyro.conf.OmitArgPrefixes[FieldBench] = FIELD,
    inputs: tyro.conf.OmitArgPrefixes[Inputs] = INPUTS,
    viewer: tyro.conf.OmitArgPrefixes[ViewerBench] = VIEWER,
    query: tyro.conf.OmitArgPrefixes[QueryBench] = QUERY,
) -> None:  # fmt: skip
    """Measure one part and print the numbers with the machine they come from.

    raster: compiled CPU rasterizer against its peers, on scenes, and along Gaussians and channels (about two minutes).
    field: LangSplat's language stage and three of ours on labelled scenes, over seeds (about half an hour; resumable).
    kernels: what the CUDA kernels take of each GPU, by nvcc's report. gpu: everything that takes a GPU, into one report
    (a few minutes). full: every soak, fuzz and kill series at its stated size (an hour; from a checkout; resumable).
    masks: our mask generator against the stock one (about a minute a photo). labels: best mask per labelled thing.
    bridge: held-out names, and name to crop with --scene. towers: milliseconds a crop of each image encoder.
    viewer: a question on the page, from its arrival to the last byte sent, and the bytes (a minute).
    query: a text in space, from a new camera and from a still one, beside LangSplat's way (about a minute).

    Args:
        name: what to measure.
        json: print as JSON.
        raster: what `raster` measures.
        field: what `field` repeats.
        inputs: what the others measure on and write.
        viewer: what `viewer` measures.
        query: what `query` measures.
    """
    if name == "raster":
        found = _raster(raster)
    elif name == "field":
        found = _field(field, inputs, raster.picture)
    elif name == "full":
        found = _full(inputs.out or Path("full.json"))
    elif name == "viewer":
        found = _viewer(viewer)
    elif name == "query":
        found = _query(query)
    else:
        found = BENCHES[name](_one(inputs.scene), inputs.tables, inputs.photos)
    data = {"bench": name, "cores": os.cpu_count(), "machine": platform.processor() or platform.machine(), **found}
    if json:
        print_json({key: value for key, value in data.items() if key != "table"})
    else:
        print_text(found.get("table") or "\n".join(f"{key}: {value}" for key, value in data.items()))


def _need(path: Path | None, option: str) -> Path:
    if path is None:
        raise SettingsError("this bench needs a folder", option, f"give one: {option} DIR")
    return path


def _one(scenes: tuple[Path, ...]) -> Path | None:
    if len(scenes) > 1:
        raise SettingsError("this bench takes one scene", f"--scene with {len(scenes)}", "name one")
    return scenes[0] if scenes else None


def _field(what: FieldBench, inputs: Inputs, picture: Path | None) -> dict[str, Any]:
    from langfield.commands.bench_field import bench_field
    from langfield.commands.field_bench.picture import draw_field
    from langfield.settings import RunSettings

    found = bench_field(inputs.scene, what, inputs.out, RunSettings())
    if picture is not None:
        draw_field(found, picture)
    return found


def _raster(what: RasterBench) -> dict[str, Any]:
    from langfield.commands.bench_raster import bench_raster

    return bench_raster(what)


def _viewer(what: ViewerBench) -> dict[str, Any]:
    from langfield.viewer.measure import measure_viewer

    return measure_viewer(what.gaussians, what.questions, what.pages)


def _query(what: QueryBench) -> dict[str, Any]:
    from langfield.commands.bench_query import bench_query

    return bench_query(what)


def _full(out: Path) -> dict[str, Any]:
    from langfield.commands.bench_full import bench_full

    found = bench_full(out)
    rows = [
        f"{name}: {p['passed']} passed, {p['skipped']} skipped, {p['seconds']} s" for name, p in found["parts"].items()
    ]
    return {**found, "table": "\n".join(rows)}


def _kernels(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    from langfield.raster import cuda_build
    from langfield.raster.cuda_launch import require_nvcc
    from langfield.raster.measure import cuda_report

    compiler = require_nvcc()
    found = cuda_report.report(cuda_build.sources(), compiler)
    rows = [{**plain(r), "occupancy": r.occupancy, "limited_by": r.limited_by} for r in found]
    return {"nvcc": cuda_build.version(compiler), "table": cuda_report.table(found, compiler), "kernels": rows}


def _gpu(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    from langfield.raster.measure.gpu_checks import check_gpu

    return check_gpu(Path("gpu-report"))


def _masks(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    from langfield.segment.bench import bench_masks
    from langfield.weights import require

    pictures = sorted((_need(scene, "--scene") / "images").iterdir())
    chosen = pictures[:: max(1, len(pictures) // photos)][:photos]
    return bench_masks(chosen, require("mobile-sam"))


def _labels(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    from langfield.segment import segmenter
    from langfield.segment.bench import bench_labels

    folder = _need(scene, "--scene")
    return bench_labels(folder / "images", folder / "label", segmenter("mobile-sam"))


def _bridge(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    from langfield.suite import image_encoder, text_encoder
    from langfield.suite.bridge_eval import crops_report, embed_crops, labelled_crops, names_report
    from langfield.suite.bridge_train import Recipe
    from langfield.suite.tables import read_tables

    text = text_encoder("bridge-minilm-b16")
    found: dict[str, Any] = {}
    if tables is not None:
        found["names"] = names_report(text, read_tables(tables), Recipe())
    if scene is not None:
        names, crops = labelled_crops(scene)
        found["crops"] = crops_report(text, names, embed_crops(crops, image_encoder()))
    if not found:
        raise SettingsError(
            "bench bridge needs something to measure on", None, "give --tables DIR, --scene DIR or both"
        )
    return found


def _towers(scene: Path | None, tables: Path | None, photos: int) -> dict[str, Any]:  # noqa: ARG001
    import time

    import numpy as np

    from langfield.suite import IMAGE_ENCODERS, image_encoder

    crops = list(np.random.default_rng(0).integers(0, 255, (16, 224, 224, 3), dtype=np.uint8))
    found = {}
    for spec in IMAGE_ENCODERS:
        encoder = image_encoder(spec)
        encoder.encode_images(crops[:2])
        start = time.perf_counter()
        encoder.encode_images(crops)
        found[f"{spec}_ms_a_crop"] = round((time.perf_counter() - start) / len(crops) * 1000, 1)
    return found


BENCHES = {
    "kernels": _kernels,
    "gpu": _gpu,
    "masks": _masks,
    "labels": _labels,
    "bridge": _bridge,
    "towers": _towers,
}
