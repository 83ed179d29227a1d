"""Make the scene `loop`: a walk once round a furnished room, RGB-D, with exact poses, depth, instances and labels.

    uv run --group scenes python scenes/make_loop.py --out scenes/loop

Frames that are already in the folder are kept, so a stopped run goes on where it was.
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from scipy.spatial.transform import Rotation
from tabletop_objects import loop_layout
from tabletop_objects.things import Thing
from tabletop_render import develop, files
from tabletop_render.baked import Baked
from tabletop_render.cameras import View
from tabletop_render.labels import label, surface_points
from tabletop_render.tracer import Truth, pick_variant
from tabletop_render.walk import walk

from langfield.artefacts import write_bytes, write_json
from langfield.progress import say, track

DEPTH_SCALE = 5000
"""Units of the depth files in a metre: rounding is at most 0.1 mm."""
START_S, FRAMES_PER_S = 1000.0, 30.0
OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
POSED_EVERY = 10
"""transforms.json names every so many-th frame, for commands that want photos."""


@dataclass(frozen=True)
class Options:
    """How to make the scene."""

    out: Path = Path("scenes/loop")
    """Folder to write into."""
    frames: int = 360
    """Number of pictures, once round the room at 30 a second."""
    width: int = 320
    """Pixels."""
    height: int = 240
    """Pixels."""
    fine: int = 3
    """Rays along each side of a pixel; odd."""
    rounds: int = 40
    """Directions the light of a corner is gathered from."""
    seed: int = 5
    """Decides the walk and the start points."""
    points: int = 8000
    """Number of start points."""
    label_every: int = 30
    """Every so many-th frame is labelled."""
    variant: str = "auto"
    """Mitsuba variant; only the compiled ones ("llvm_ad_rgb", "cuda_ad_rgb") can do it."""


def main(options: Options) -> None:
    """Write the lists, then the frames, then what depends on single frames."""
    laid = loop_layout.things()
    views = walk(options.frames, options.width, options.height, options.seed)
    write_lists(options.out, views, laid)
    with tempfile.TemporaryDirectory() as folder:
        everything = [*laid, *loop_layout.furnished()]
        baked = Baked(everything, Path(folder), pick_variant(options.variant), options.rounds)
        for i in track(range(len(views)), "frames"):
            write_frame(options, baked, i, views[i])
        again = [i for i in range(len(views)) if i % POSED_EVERY == 0 or i % options.label_every == 0]
        posed = {i: baked.picture(views[i], options.fine) for i in track(again, "labels")}
    write_labels(options, views, {i: truth for i, (_, truth) in posed.items()}, laid)
    write_start_points(options, list(posed.values()))
    say(f"wrote {len(views)} frames of {len(laid)} things to {options.out}")


def stem(index: int) -> str:
    """Give the stem all files of a frame share."""
    return f"{index:04d}"


def write_lists(out: Path, views: list[View], laid: list[Thing]) -> None:
    """Write camera, poses, and the lists of pictures and depth maps, as TUM has them; names; transforms.json."""
    v = views[0]
    lens = {"fx": v.focal, "fy": v.focal, "cx": v.width / 2, "cy": v.height / 2, "width": v.width, "height": v.height}
    note = "pixels; the first pixel's centre is 0.5; depth units per metre; no distortion"
    write_json(out / "camera.json", {**lens, "depth_scale": DEPTH_SCALE, "note": note})
    write_json(out / "names.json", {str(k + 1): thing.name for k, thing in enumerate(laid)})
    times = [START_S + i / FRAMES_PER_S for i in range(len(views))]
    for folder, suffix in (("rgb", "jpg"), ("depth", "png")):
        rows = [f"{t:.6f} {folder}/{stem(i)}.{suffix}" for i, t in enumerate(times)]
        write_bytes(out / f"{folder}.txt", "\n".join(["# time in seconds, file", *rows, ""]).encode())
    rows = ["# time tx ty tz qx qy qz qw: camera to world, OpenCV axes, metres"]
    for time_s, view in zip(times, views, strict=True):
        T = view.pose @ OPENGL_TO_OPENCV
        numbers = [*T[:3, 3], *Rotation.from_matrix(T[:3, :3]).as_quat()]
        rows.append(f"{time_s:.6f} " + " ".join(f"{x:.9f}" for x in numbers))
    write_bytes(out / "groundtruth.txt", "\n".join([*rows, ""]).encode())
    data = files.transforms(views[::POSED_EVERY], 0)
    for i, frame in enumerate(data["frames"]):
        name = stem(i * POSED_EVERY)
        frame["file_path"], frame["depth_file_path"] = f"rgb/{name}.jpg", f"depth/{name}.png"
        frame["instance_file_path"] = f"masks/{name}.png"
    data |= {"depth_unit_scale_factor": 1 / DEPTH_SCALE, "note": f"every {POSED_EVERY}th frame of the walk"}
    del data["seed"]
    write_json(out / "transforms.json", data)


def write_frame(options: Options, baked: Baked, index: int, view: View) -> None:
    """Draw and write one frame, its depth and its instances, unless they are there."""
    name = stem(index)
    picture = options.out / "rgb" / f"{name}.jpg"
    if picture.exists():
        return
    radiance, truth = baked.picture(view, options.fine)
    files.write_mask(options.out / "masks" / f"{name}.png", truth.instance)
    files.write_png(options.out / "depth" / f"{name}.png", np.round(truth.depth * DEPTH_SCALE).astype(np.uint16))
    data = io.BytesIO()
    Image.fromarray(develop.tone(radiance)).save(data, "JPEG", quality=95, optimize=True)
    write_bytes(picture, data.getvalue())


def write_labels(options: Options, views: list[View], truths: dict[int, Truth], laid: list[Thing]) -> None:
    """Write labels in the LERF-OVS layout."""
    rng = np.random.default_rng(options.seed)
    clouds = [surface_points(thing, 40000, rng) for thing in laid]
    for i in range(0, len(views), options.label_every):
        data = label(f"{stem(i)}.jpg", views[i], truths[i].instance, laid, clouds)
        write_json(options.out / "label" / f"{stem(i)}.json", data)


def write_start_points(options: Options, seen: list[tuple[np.ndarray, Truth]]) -> None:
    """Write start points: places that the pictures see, shifted by 2 mm of noise, with the pictures' colours."""
    rng = np.random.default_rng(options.seed)
    share = -(-options.points // len(seen))
    picks = [rng.choice(truth.depth.size, share, replace=False) for _, truth in seen]
    xyz = np.concatenate([t.position.reshape(-1, 3)[p] for (_, t), p in zip(seen, picks, strict=True)])
    rgb = np.concatenate([develop.tone(c).reshape(-1, 3)[p] for (c, _), p in zip(seen, picks, strict=True)])
    xyz = xyz + rng.normal(0, 0.002, xyz.shape)
    files.write_points(options.out / "points3D.ply", xyz[: options.points], rgb[: options.points])


if __name__ == "__main__":
    main(tyro.cli(Options))
