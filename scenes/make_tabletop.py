"""Make the scene `tabletop`: 36 path-traced views of a laid table with cameras, depth, instances and labels.

    uv run --group scenes python scenes/make_tabletop.py --out scenes/tabletop

Pictures that are already in the folder are kept, so a stopped run goes on where it was.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tabletop_objects.layout import things
from tabletop_objects.room import room, table
from tabletop_objects.things import Thing
from tabletop_render import develop, files
from tabletop_render.cameras import View, ring_views
from tabletop_render.labels import label, surface_points
from tabletop_render.tracer import Tracer, Truth, pick_variant

from langfield.artefacts import write_json
from langfield.progress import say, track


@dataclass(frozen=True)
class Options:
    """How to make the scene."""

    out: Path = Path("scenes/tabletop")
    """Folder to write into."""
    views: int = 36
    """Number of pictures, once round the table."""
    width: int = 480
    """Pixels."""
    height: int = 360
    """Pixels."""
    samples: int = 16
    """Paths a pixel; 256 or more where Open Image Denoise (pyoidn) is not installed."""
    seed: int = 3
    """Decides the cameras' jitter, the start points and the paths."""
    points: int = 8000
    """Number of start points."""
    labels: int = 8
    """Number of labelled frames."""
    variant: str = "auto"
    """Mitsuba variant: "llvm_ad_rgb", "scalar_rgb" (ten times slower), or "auto"."""


def main(options: Options) -> None:
    """Trace truth first, then the pictures, then what depends on both."""
    laid = things()
    views = ring_views(options.views, options.width, options.height, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        tracer = Tracer([*laid, room(), table()], Path(folder), pick_variant(options.variant))
        truths = [write_truth(options.out, i, tracer.truth(view)) for i, view in enumerate(track(views, "truth"))]
        write_tables(options, views, truths, laid)
        for i in track(picture_order(len(views)), "pictures"):
            write_picture(options, tracer, i, views[i])
    write_start_points(options, truths)
    say(f"wrote {len(views)} views of {len(laid)} things to {options.out}")


def picture_order(count: int) -> list[int]:
    """Take every third view first, so that a run that is stopped leaves an even ring."""
    return [i for start in (0, 1, 2) for i in range(start, count, 3)]


def write_truth(out: Path, index: int, truth: Truth) -> Truth:
    """Write one view's depth and instances."""
    files.write_mask(out / "masks" / f"{files.frame_name(index)}.png", truth.instance)
    files.write_depth(out / "depth" / f"{files.frame_name(index)}.png", truth.depth)
    return truth


def write_picture(options: Options, tracer: Tracer, index: int, view: View) -> None:
    """Trace, denoise and write one picture, unless it is there."""
    path = options.out / "images" / f"{files.frame_name(index)}.png"
    if not path.exists():
        traced = tracer.picture(view, options.samples, options.seed * 1000 + index)
        files.write_png(path, develop.tone(develop.clean(*traced)))


def write_tables(options: Options, views: list[View], truths: list[Truth], laid: list[Thing]) -> None:
    """Write cameras, names and labels."""
    write_json(options.out / "transforms.json", files.transforms(views, options.seed))
    write_json(options.out / "names.json", {str(k + 1): thing.name for k, thing in enumerate(laid)})
    rng = np.random.default_rng(options.seed)
    clouds = [surface_points(thing, 40000, rng) for thing in laid]
    for i in np.linspace(0, len(views), options.labels, endpoint=False).astype(int):
        name = files.frame_name(i)
        data = label(f"{name}.png", views[i], truths[i].instance, laid, clouds)
        write_json(options.out / "label" / f"{name}.json", data)


def write_start_points(options: Options, truths: list[Truth]) -> None:
    """Write start points: places the pictures see, shifted by 2 mm of noise, with the pictures' colours."""
    rng = np.random.default_rng(options.seed)
    xyz, rgb = [], []
    share = -(-options.points // len(truths))
    for i, truth in enumerate(truths):
        picture = cv2.imread(str(options.out / "images" / f"{files.frame_name(i)}.png"))[..., ::-1]
        weight = np.where(truth.instance > 0, 3.0, 1.0) * (truth.depth > 0)
        pick = rng.choice(weight.size, share, replace=False, p=(weight / weight.sum()).ravel())
        xyz.append(truth.position.reshape(-1, 3)[pick] + rng.normal(0, 0.002, (share, 3)))
        rgb.append(picture.reshape(-1, 3)[pick])
    files.write_points(
        options.out / "points3D.ply", np.concatenate(xyz)[: options.points], np.concatenate(rgb)[: options.points]
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
