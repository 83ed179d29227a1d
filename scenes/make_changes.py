"""Make the scene `changes`: things on a table that change their state while a hand-held camera goes by.

    uv run --group scenes python scenes/make_changes.py --out scenes/changes

Pictures that are already in the folder are kept, so a stopped run goes on where it was.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import tyro
from changes_story import files, labels
from changes_story.cameras import moving_views, second_view
from changes_story.files import Shot
from changes_story.story import ACTORS, STEPS, moving_things, still_things
from changes_story.texts import write_texts
from tabletop_objects.room import room, table
from tabletop_render import develop
from tabletop_render.tracer import Tracer, Truth, pick_variant

from langfield.progress import say, track


@dataclass(frozen=True)
class Options:
    """How to make the scene."""

    out: Path = Path("scenes/changes")
    """Folder to write into."""
    width: int = 320
    """Pixels."""
    height: int = 240
    """Pixels."""
    samples: int = 14
    """Paths a pixel; 256 or more where Open Image Denoise (pyoidn) is not installed."""
    seed: int = 8
    """Decides the hand's tremor, the start points, the paths and the words."""
    points: int = 6000
    """Number of start points."""
    labels: int = 10
    """Number of frames labelled in the LERF-OVS layout; all are in the other one."""
    second_every: int = 4
    """Steps from one picture of the second camera to the next."""
    variant: str = "auto"
    """Mitsuba variant: "llvm_ad_rgb", "scalar_rgb" (ten times slower), or "auto"."""
    only: tuple[int, ...] = ()
    """Only these steps' pictures, to look at; nothing else is written."""
    texts_only: bool = False
    """Write only captions, queries and states."""


def main(options: Options) -> None:
    """Trace truth and picture step by step, then what depends on all."""
    if not options.texts_only:
        trace(options)
    if not options.only:
        write_texts(options.out, options.seed)


def trace(options: Options) -> None:
    """Trace every shot; write pictures, depth, masks, cameras, labels and start points."""
    shots = all_shots(options)
    wanted = [s for s in shots if not options.only or s.step in options.only]
    still = still_things()
    with tempfile.TemporaryDirectory() as folder:
        things = [*moving_things(0), *still, room(), table()]
        tracer = Tracer(things, Path(folder), pick_variant(options.variant))
        truths = [trace_shot(options, tracer, shot) for shot in track(wanted, "shots")]
    if not options.only:
        names = [actor.name for actor in ACTORS] + [thing.name for thing in still]
        files.write_cameras(options.out, shots, options.seed)
        files.write_names(options.out, names)
        labels.write_coco(options.out, shots, truths, names)
        labels.write_lerf(options.out, shots, truths, options.labels)
        files.write_start_points(options.out, shots, truths, options.points, options.seed)
    say(f"wrote {len(wanted)} pictures of {len(things) - 2} things to {options.out}")


def all_shots(options: Options) -> list[Shot]:
    """Give the moving camera's shots in order of time, then the second camera's."""
    size = options.width, options.height
    moving = [Shot(step, "moving", view) for step, view in enumerate(moving_views(*size, options.seed))]
    return moving + [Shot(step, "second", second_view(*size)) for step in range(1, STEPS, options.second_every)]


def trace_shot(options: Options, tracer: Tracer, shot: Shot) -> Truth:
    """Trace one shot; its picture is kept where it is there."""
    tracer.change(moving_things(shot.step))
    truth = tracer.truth(shot.view)
    files.write_truth(options.out, shot, truth)
    path = options.out / shot.picture
    if not path.exists():
        seed = options.seed * 1000 + 2 * shot.step + (shot.camera == "second")
        files.write_jpeg(path, develop.tone(develop.clean(*tracer.picture(shot.view, options.samples, seed))))
    return truth


if __name__ == "__main__":
    main(tyro.cli(Options))
