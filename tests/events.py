"""A run whose things change their states: three balls on a table, twenty times, and what was said at each."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
from torch.nn.functional import normalize

from langfield.artefacts import write_json
from langfield.capture.types import Camera, Capture, Frame, Points
from langfield.codec import Identity
from langfield.field.deform import Deformation, start_deformation
from langfield.field.hexplane import PlaneSettings, start_planes
from langfield.field.instances import Instances
from langfield.field.status import StatusNet
from langfield.field.status_lift import StatesSettings, lift_status
from langfield.field.types import Field
from langfield.run import CAPTIONS, write_results
from langfield.suite.captions.store import Captions, ObjectCaptions, write_captions
from langfield.suite.sentences import SentenceEncoder
from tests.tiny import ring_camera, tiny_gaussians

TIMES = 20
STEP_S = 0.25
SAID = {
    "red ball": ("The red ball is lit.", "The red ball is off and dark."),
    "green ball": ("The green ball is whole.", "The green ball is broken in two."),
    "blue ball": ("The blue ball stands on the table.", "The blue ball stands on the table."),
}
TURNS = {"red ball": 8, "green ball": 12, "blue ball": 10}
"""The first time of the second state."""
NOTHING = Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))


def captions(encoder: SentenceEncoder) -> Captions:
    """What is said of every ball at every time; one time in ten the other state."""
    rows = []
    for number, (name, (first, second)) in enumerate(SAID.items(), 1):
        said = {frame_name(t): second if (t >= TURNS[name]) != (t in (3, 15)) else first for t in range(TIMES)}
        rows.append(ObjectCaptions(number, name, "", said))
    return Captions(tuple(rows), provenance={"encoder": encoder.provenance})


def frame_name(t: int) -> str:
    """Give the name of a time's picture."""
    return f"{t:03d}.png"


def cameras() -> dict[str, Camera]:
    """A camera for each time, going round."""
    return {frame_name(t): replace(ring_camera(2 * math.pi * t / TIMES), time_s=STEP_S * t) for t in range(TIMES)}


def sinking(depth: float = 0.8) -> Deformation:
    """Everything sinks, evenly, by a depth in world units until the last time."""
    g = torch.Generator().manual_seed(0)
    settings = PlaneSettings(grid=(2, 2, 2), times=2, resolutions=(1,), width=1)
    corners = torch.tensor([[-2.0, -2, -2], [2, 2, 2]])
    planes = start_planes(settings, corners, (0.0, STEP_S * (TIMES - 1)), g)
    cells = torch.ones(1, 24)
    cells[0, 12:14] = 0.0  # the plane of x and time, first time: the feature is the share of time that has passed
    made = start_deformation(replace(planes, cells=cells), ("means",), 1, 1, g)
    one = {"trunk_weight": torch.ones(1, 1), "inner_weight": torch.ones(1, 1, 1)}
    return replace(made, **one, outer_weight=torch.tensor([[0.0], [0.0], [-depth / float(made.unit)]]))


def event_field(encoder: SentenceEncoder, deformation: Deformation | None = None) -> Field:
    """Give the field: things are the balls, their states lifted from the captions."""
    gaussians, thing = tiny_gaussians()
    owner = torch.where(torch.tensor(thing) < 3, torch.tensor(thing), -1).int()
    said = captions(encoder)
    codes = torch.stack([encoder.encode_texts(list(o.frames.values())) for o in said.objects])
    times = STEP_S * torch.arange(TIMES).double()
    tracks = lift_status(owner, times, codes, torch.ones(3, TIMES, dtype=torch.bool), StatesSettings(states=2))
    rows = torch.nonzero(owner >= 0)[:, 0].int()
    vectors = normalize(torch.eye(16)[:3] + 0.5 * torch.eye(16)[8], dim=-1)
    things = Instances(
        vectors.half(), torch.full((3,), 4).int(), torch.ones(3), torch.tensor([0, 250, 500, 750]), rows,
        torch.zeros(0, 3).int(),
    )  # fmt: skip
    codes_of = torch.cat([vectors, torch.zeros(1, 16)])[owner.long()].repeat(3, 1, 1)
    return Field(gaussians, codes_of, Identity(16), {}, None, things, deformation, Identity(encoder.dim), tracks)


def event_run(folder: Path, encoder: SentenceEncoder) -> Path:
    """Write the field as a finished run."""
    frames = tuple(Frame(name, folder / name, camera) for name, camera in cameras().items())
    write_results(folder, event_field(encoder), Capture(folder, frames, NOTHING), {})
    write_captions(folder / CAPTIONS, captions(encoder))
    specs = {"text_encoder": "tests.blobs:Words", "image_encoder": "tests.blobs:Pictures"}
    write_json(folder / "manifest.json", {"version": 1, "state": "finished", "settings": specs, "training_views": []})
    return folder


def turning_net(encoder: SentenceEncoder) -> StatusNet:
    """Give the network that knows what is said before, between and after both turns; it stands on `sinking`."""
    turns = [(t - 0.5) / (TIMES - 1) for t in (TURNS["red ball"], TURNS["green ball"])]
    sharp, inner = 2000.0, torch.ones(1, 1)
    bias = torch.tensor([0.0, -sharp * turns[0], -sharp * (turns[0] + turns[1])])
    owner = tiny_gaussians()[1]
    codes = torch.zeros(len(owner), 3, encoder.dim)
    for thing, (name, (first, second)) in enumerate(SAID.items()):
        said = [second if TURNS[name] <= at else first for at in (0, TURNS["red ball"], TURNS["green ball"])]
        codes[torch.tensor(owner) == thing] = encoder.encode_texts(said)
    return StatusNet(codes, inner, torch.zeros(1), sharp * torch.tensor([[0.0], [1.0], [2.0]]), bias)
