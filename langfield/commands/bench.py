"""`langfield bench NAME`: speed and quality, as ratios from one run on this machine; a function for each name."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from langfield.artefacts import plain, write_bytes, write_json
from langfield.commands.bench_options import (
    CLUSTER,
    DYNAMIC,
    FIELD,
    ONLINE,
    PAPER,
    QUERY,
    RASTER,
    SHARDS,
    SUITE,
    VIEWER,
    ClusterBench,
    DynamicBench,
    FieldBench,
    OnlineBench,
    PaperBench,
    QueryBench,
    RasterBench,
    ShardBench,
    SuiteBench,
    ViewerBench,
)
from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError

Scene = Annotated[Path, tyro.conf.Positional]


def _show(name: str, found: dict[str, Any], json: bool) -> None:
    data = {"bench": name, "cores": os.cpu_count(), "machine": platform.processor() or platform.machine(), **found}
    if json:
        print_json({key: value for key, value in data.items() if key != "table"})
    else:
        print_text(found.get("table") or "\n".join(f"{key}: {value}" for key, value in data.items()))


def raster(what: tyro.conf.OmitArgPrefixes[RasterBench] = RASTER, json: bool = False) -> None:
    """Compare the compiled CPU rasterizer with its peers, on scenes, and along Gaussians and channels (two minutes).

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_raster import bench_raster

    _show("raster", bench_raster(what), json)


def field(
    scene: tuple[Path, ...], what: tyro.conf.OmitArgPrefixes[FieldBench] = FIELD, out: Path | None = None,
    picture: Path | None = None, json: bool = False,
) -> None:  # fmt: skip
    """Compare LangSplat's language stage with three of ours on labelled scenes, over seeds (half an hour; resumable).

    Args:
        scene: captures with images/ and label/.
        what: what is repeated.
        out: where every value is written as it is found; run again, it goes on from there.
        picture: draw the values into this PNG.
        json: print as JSON.
    """
    from langfield.commands.bench_field import bench_field
    from langfield.commands.field_bench.picture import draw_field
    from langfield.settings import RunSettings

    found = bench_field(scene, what, out, RunSettings())
    if picture is not None:
        draw_field(found, picture)
    _show("field", found, json)


def query(what: tyro.conf.OmitArgPrefixes[QueryBench] = QUERY, json: bool = False) -> None:
    """Time a text in space, from a new camera and from a still one, beside LangSplat's way (about a minute).

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_query import bench_query

    _show("query", bench_query(what), json)


def online(what: tyro.conf.OmitArgPrefixes[OnlineBench] = ONLINE, json: bool = False) -> None:
    """Map a rendered walk online, poses given, tracked and with a camera's noise, and the paper's way; a quarter of an
    hour, resumable. `bench paper` sets the paper's ways side by side.

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_online import bench_online

    _show("online", bench_online(what), json)


def dynamic(source: Scene, what: tyro.conf.OmitArgPrefixes[DynamicBench] = DYNAMIC, json: bool = False) -> None:
    """Tell when things are in a state, ours beside 4D LangSplat's ways, over seeds (half an hour; resumable).

    Args:
        source: a capture with times, captions.json and annotations/ in 4D LangSplat's layout, such as scenes/changes.
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_dynamic import bench_dynamic

    _show("dynamic", bench_dynamic(source, what), json)


def cluster(what: tyro.conf.OmitArgPrefixes[ClusterBench] = CLUSTER, json: bool = False) -> None:
    """Run the stages on Ray here: equal results of any number of workers, memory, what scheduling costs, throughput and
    what each stage costs (half an hour; resumable). Kills at random are a part of `bench full`.

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_cluster import bench_cluster

    _show("cluster", bench_cluster(what), json)


def suite(
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional],
    what: tyro.conf.OmitArgPrefixes[SuiteBench] = SUITE,
    json: bool = False,
) -> None:
    """Tell what methods of the suite win on trained runs: taught by clicks, asked, found again (an hour; resumable).

    Args:
        runs: trained with things, on captures with label/ such as scenes/tabletop.
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_suite import bench_suite

    _show("suite", bench_suite(runs, what), json)


def paper(
    source: Scene, what: tyro.conf.OmitArgPrefixes[PaperBench] = PAPER, out: Path | None = None, json: bool = False
) -> None:
    """Run Online Language Splatting, apart and joint, beside our lifting on the same frames of an RGB-D stream.

    Args:
        source: stream in TUM's or Replica's layout, with label/ where mIoU is wanted.
        what: what is run.
        out: where the rows are written as JSON.
        json: print as JSON.
    """
    from langfield.commands.bench_paper import bench_paper

    found = bench_paper(source, what)
    if out is not None:
        write_json(out, found)
    _show("paper", found, json)


def viewer(what: tyro.conf.OmitArgPrefixes[ViewerBench] = VIEWER, json: bool = False) -> None:
    """Time a question on the page, from its arrival to the last byte sent, and count the bytes (a minute).

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.viewer.measure import measure_flood, measure_viewer

    found = measure_viewer(what.gaussians, what.questions, what.pages)
    _show("viewer", found | measure_flood(what.gaussians, what.questions), json)


def shards(what: tyro.conf.OmitArgPrefixes[ShardBench] = SHARDS, json: bool = False) -> None:
    """Ask texts of millions of Gaussians in shards, and tell seconds and memory beside the ways without (two minutes).

    Args:
        what: what is measured.
        json: print as JSON.
    """
    from langfield.commands.bench_shards import bench_shards

    _show("shards", bench_shards(what), json)


def full(out: Path = Path("full.json"), json: bool = False) -> None:
    """Run every soak, fuzz and kill series at its stated size (an hour; from a checkout; resumable).

    Args:
        out: where it writes what it finds, after each part; run again, it goes on from there.
        json: print as JSON.
    """
    from langfield.commands.bench_full import bench_full

    found = bench_full(out)
    rows = [
        f"{name}: {p['passed']} passed, {p['skipped']} skipped, {p['seconds']} s" for name, p in found["parts"].items()
    ]
    _show("full", {**found, "table": "\n".join(rows)}, json)


def kernels(json: bool = False) -> None:
    """Tell what the CUDA kernels take of each GPU, by nvcc's report; no GPU needed.

    Args:
        json: print as JSON.
    """
    from langfield.raster import cuda_build
    from langfield.raster.cuda_launch import require_nvcc
    from langfield.raster.measure import cuda_report

    compiler = require_nvcc()
    found = cuda_report.report(cuda_build.sources(), compiler)
    rows = [{**plain(r), "occupancy": r.occupancy, "limited_by": r.limited_by} for r in found]
    table = cuda_report.table(found, compiler)
    _show("kernels", {"nvcc": cuda_build.version(compiler), "table": table, "kernels": rows}, json)


def gpu(out: Path = Path("gpu-report"), json: bool = False) -> None:
    """Check and time everything that takes a GPU, into one report (a few minutes).

    Args:
        out: folder of report.md and report.json.
        json: print as JSON.
    """
    from langfield.commands.bench_gpu import bench_fit
    from langfield.device import raster_device
    from langfield.raster.measure.gpu_checks import check_gpu

    found = check_gpu(out)
    fitting = bench_fit(raster_device("cuda"))
    rows = "\n".join(f"- {name}: {value}" for name, value in fitting.items())
    found |= {"fitting": fitting, "table": f"{found['table']}\n## Fitting and lifting\n\n{rows}\n"}
    write_bytes(out / "report.md", found["table"].encode())
    write_json(out / "report.json", found)
    _show("gpu", found, json)


def masks(scene: Scene, photos: int = 3, json: bool = False) -> None:
    """Compare our mask generator with the stock one (about a minute a photo).

    Args:
        scene: a capture with images/.
        photos: how many are compared, evenly spaced.
        json: print as JSON.
    """
    from langfield.segment.bench import bench_masks
    from langfield.weights import require

    pictures = sorted((scene / "images").iterdir())
    chosen = pictures[:: max(1, len(pictures) // photos)][:photos]
    _show("masks", bench_masks(chosen, require("mobile-sam")), json)


def labels(scene: Scene, json: bool = False) -> None:
    """Find the best mask there is of every labelled thing.

    Args:
        scene: a capture with images/ and label/.
        json: print as JSON.
    """
    from langfield.segment import segmenter
    from langfield.segment.bench import bench_labels

    _show("labels", bench_labels(scene / "images", scene / "label", segmenter("mobile-sam")), json)


def bridge(tables: Path | None = None, scene: Path | None = None, json: bool = False) -> None:
    """Measure the text bridge: on names it was not trained on, and from name to crop.

    Args:
        tables: text tables the bridge was trained from.
        scene: a capture with images/ and label/.
        json: print as JSON.
    """
    from langfield.suite import image_encoder, text_encoder
    from langfield.suite.bridge_eval import crops_report, embed_crops, labelled_crops, names_report
    from langfield.suite.bridge_train import Recipe
    from langfield.suite.tables import read_tables

    if tables is None and scene is None:
        raise SettingsError(
            "bench bridge needs something to measure on", None, "give --tables DIR, --scene DIR or both"
        )
    text, found = text_encoder("bridge-minilm-b16"), {}
    if tables is not None:
        found["names"] = names_report(text, read_tables(tables), Recipe())
    if scene is not None:
        names, crops = labelled_crops(scene)
        found["crops"] = crops_report(text, names, embed_crops(crops, image_encoder()))
    _show("bridge", found, json)


def towers(json: bool = False) -> None:
    """Time a crop through each image encoder.

    Args:
        json: print as JSON.
    """
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
    _show("towers", found, json)


COMMANDS: dict[str, Callable[..., None]] = {
    "raster": raster,
    "field": field,
    "query": query,
    "online": online,
    "dynamic": dynamic,
    "cluster": cluster,
    "suite": suite,
    "paper": paper,
    "viewer": viewer,
    "shards": shards,
    "kernels": kernels,
    "gpu": gpu,
    "full": full,
    "masks": masks,
    "labels": labels,
    "bridge": bridge,
    "towers": towers,
}
