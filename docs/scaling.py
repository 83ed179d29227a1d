"""Writes the tables of docs/scaling.md from what `langfield bench cluster` found, so that they can be made again.

uv run python docs/scaling.py docs/measurements/cluster.json [--photos 50000 --dollars-per-gpu-hour 3]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

HERE = Path(__file__).parent
GPU = HERE / "measurements" / "gpu_h200.json"
RUNS = HERE / "measurements" / "gpu_runs_h200.json"
PAGE = HERE / "scaling.md"
BEGIN, END = "<!-- tables: begin (docs/scaling.py) -->", "<!-- tables: end -->"


@dataclass(frozen=True)
class Assumed:
    """What was not measured."""

    photos: int = 50_000
    gpus: tuple[int, ...] = (8, 64)
    dollars_per_gpu_hour: float = 3.0
    """One GPU with its share of a machine: 16 processor cores, as cloud lists have them."""
    cores_per_gpu: int = 16
    megapixels: float = 12.0
    """Of a photo, before it is brought to 1080 pixels of height."""
    photo_mb: float = 5.0
    """Of the file; the driver reads it twice to name the capture by its content."""
    hashed_mb_per_s: float = 500.0
    """One thread, reading included."""
    segments: int = 150
    """Segments of a photo over three levels."""
    steps_per_photo: int = 100
    """Photometric steps, as 3DGS does for a scene of 300 photos."""
    views_per_photo: float = 1.5
    """Blocks that a photo belongs to, on average."""
    gaussians_per_photo: int = 1_000
    step_ms: float | None = None
    """Of a photometric step; as measured on the GPU by default."""


@dataclass(frozen=True)
class Stage:
    """One row of the table."""

    name: str
    seconds_per_photo: float
    on: str
    """gpu, cores or driver."""
    source: str


def stages(found: dict[str, Any], gpu: dict[str, Any], on_gpu: dict[str, Any], assumed: Assumed) -> list[Stage]:
    """Give what each stage costs a photo, and where the number comes from."""
    parts = found["parts"]
    one = parts["costs"]["one photo apart"]
    runs = [
        row for part in ("equal", "memory") for row in parts.get(part, {}).values() if "look" in row.get("stages", {})
    ]
    runs.sort(key=_photos)
    smallest, largest, photos = runs[0], runs[-1], _photos(runs[-1])
    crop_gpu_s = gpu["clip_vit_b16_random_weights"]["ms_a_crop"] / 1e3
    pixels = assumed.megapixels * 1e6 / (one["height_px"] * one["width_px"])
    step_s = (assumed.step_ms or gpu["fitting_100k_gaussians_640x480_1000_steps"]["colour_step_ms"]) / 1e3

    more = photos - _photos(smallest)
    # what the driver does once for any scene is left out where two sizes tell it apart
    driver_s = (largest["driver_cpu_s"] - smallest["driver_cpu_s"]) / more if more else largest["driver_cpu_s"] / photos

    def cpu(*names: str) -> float:
        return sum(largest["stages"][name]["cpu_s"] for name in names) / photos

    return [
        Stage("frames", one["frame_cpu_s"] * pixels, "cores", "processor time, in step with pixels"),
        Stage("masks", masks_s(on_gpu), "gpu", "real models, six workers on one H200"),
        Stage("embeddings", assumed.segments * crop_gpu_s, "gpu", "a crop on an H200"),
        Stage("codebook", cpu("codebook"), "cores", "processor time"),
        Stage("colour", assumed.steps_per_photo * step_s * assumed.views_per_photo, "gpu", "a step on an H200"),
        Stage("look: draw", gpu["timings"]["scatter_ms"] / 1e3, "gpu", "a full-HD view of 500 k Gaussians on an H200"),
        Stage("look: sum up", cpu("look"), "cores", "processor time, small pictures drawn as well"),
        Stage("add", cpu("add"), "cores", "processor time"),
        Stage("solve", cpu("solve", "axes"), "cores", "processor time"),
        Stage("driver", driver_s, "driver", "processor time of the driver, one thread, tiny photos"),
        Stage("driver: hash", 2 * assumed.photo_mb / assumed.hashed_mb_per_s, "driver", "every file twice, assumed"),
    ]


def masks_s(on_gpu: dict[str, Any]) -> float:
    """Give a photo's masks in seconds of a GPU that six workers share: of masks and embeddings, the share of masks."""
    alone = on_gpu["ns-train langsplat-4d scenes/changes"]["seconds of an empty cache"]
    shared = on_gpu["real models on a cluster, 50 photos of scenes/changes, six workers on one GPU"]
    a_photo = 1 / shared["stages"]["features"]["per_second_steady"]
    return a_photo * alone["masks"] / (alone["masks"] + alone["embeddings"])


def _photos(run: dict[str, Any]) -> int:
    return run["stages"]["photos"]["done"]


def table(rows: list[Stage], assumed: Assumed) -> str:
    """Give seconds and money for each number of GPUs."""
    wide = " | ".join(f"s on {g} GPUs" for g in assumed.gpus)
    lines = [f"| stage | s a photo | runs on | {wide} | from |", "|---" * (4 + len(assumed.gpus)) + "|"]
    totals = [0.0] * len(assumed.gpus)
    for row in rows:
        cells = []
        for i, gpus in enumerate(assumed.gpus):
            seconds = row.seconds_per_photo * assumed.photos / _many(gpus, assumed)[row.on]
            totals[i] += seconds
            cells.append(f"{seconds:,.0f}")
        lines.append(f"| {row.name} | {row.seconds_per_photo:.4f} | {row.on} | {' | '.join(cells)} | {row.source} |")
    lines.append(f"| **all** | | | {' | '.join(f'**{t:,.0f}**' for t in totals)} | one after the other |")
    money = [t * g * assumed.dollars_per_gpu_hour / 3600 for t, g in zip(totals, assumed.gpus, strict=True)]
    dollars = " | ".join(f"{m:,.0f}" for m in money)
    lines.append(f"| dollars | | | {dollars} | {assumed.dollars_per_gpu_hour} a GPU and hour |")
    return "\n".join(lines)


def _many(gpus: int, assumed: Assumed) -> dict[str, int]:
    """Give how many of each kind of worker a cluster has."""
    return {"gpu": gpus, "cores": gpus * assumed.cores_per_gpu, "driver": 1}


def bottlenecks(rows: list[Stage], assumed: Assumed) -> str:
    """Name the stage that takes longest for each number of GPUs, and the GPUs from which the driver is it."""
    out = []
    for gpus in assumed.gpus:
        many = _many(gpus, assumed)
        worst = max(rows, key=lambda r: r.seconds_per_photo / many[r.on])
        out.append(f"{gpus} GPUs: {worst.name}")
    driver = sum(r.seconds_per_photo for r in rows if r.on == "driver")
    longest = max(r.seconds_per_photo for r in rows if r.on == "gpu")
    when = f"The driver takes as long as the longest stage from {longest / driver:.0f} GPUs on."
    return f"Longest on {'; on '.join(out)}. {when}"


def main(
    measured: Annotated[Path, tyro.conf.Positional], assumed: tyro.conf.OmitArgPrefixes[Assumed] = Assumed()
) -> None:
    """Write the page's tables.

    Args:
        measured: cluster.json of `langfield bench cluster`.
        assumed: what was not measured.
    """
    rows = stages(*(json.loads(path.read_text()) for path in (measured, GPU, RUNS)), assumed)
    text = f"{table(rows, assumed)}\n\n{bottlenecks(rows, assumed)}"
    page = PAGE.read_text()
    begin, rest = page.split(BEGIN)
    PAGE.write_text(f"{begin}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    tyro.cli(main)
