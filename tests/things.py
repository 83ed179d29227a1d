"""A scene whose things are known: three balls and a table, with segments at three levels that tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from langfield.capture.types import Camera
from langfield.codec import Identity
from langfield.field.instance_build import InstanceSettings, lift_things
from langfield.field.lift_solve import LiftSettings, LiftView
from langfield.field.types import Field
from langfield.query.relevancy import CANONICALS
from langfield.raster import Gaussians, rasterize
from tests.tiny import ring_camera, tiny_gaussians

DIM = 8
NAMES = ("red ball", "green ball", "blue ball", "table")
VIEWS = 5


def id_maps(scene: tuple[Gaussians, np.ndarray], view: int) -> torch.Tensor:
    """Level 0 halves the balls, 1 has the balls, 2 the balls and the table; ids differ from view to view."""
    gaussians, thing = scene
    camera = ring_camera(2 * math.pi * view / VIEWS)
    drawn = rasterize(gaussians, camera, torch.nn.functional.one_hot(torch.tensor(thing), 4).float()).channels
    assert drawn is not None
    what = torch.where(drawn.amax(-1) > 0.5, drawn.argmax(-1), -1)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
    middle = camera.width // 2
    left = torch.arange(camera.width)[None, :] < middle
    ball = (what >= 0) & (what < 3)
    halves = torch.where(ball, order[what] * 2 + left.long(), -1)
    balls = torch.where(ball, 8 + order[what], -1)
    every = torch.where(what >= 0, 12 + order[what], -1)
    return torch.stack([halves, balls, every]).to(torch.int16)


def table_of(view: int) -> torch.Tensor:
    """A noisy axis per thing, whatever the level."""
    order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
    thing = torch.cat([order.argsort().repeat_interleave(2), order.argsort(), order.argsort()])
    noise = torch.randn(16, 8, generator=torch.Generator().manual_seed(100 + view))
    return torch.eye(8)[thing] + 0.03 * noise


def things_camera(view: int) -> Camera:
    """Give the camera of a view."""
    return ring_camera(2 * math.pi * view / VIEWS)


CAMERAS = {f"view_{i}": things_camera(i) for i in range(VIEWS)}


class Axes:
    """A text encoder: each thing's name is its axis, negatives and other words are axes of their own."""

    name, dim = "axes", DIM
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        known = {name: i for i, name in enumerate(NAMES)} | {name: 4 + i % 3 for i, name in enumerate(CANONICALS)}
        ball = torch.nn.functional.normalize(torch.eye(DIM)[:3].sum(dim=0), dim=0)
        return torch.stack([ball if t == "ball" else torch.eye(DIM)[known.get(t, 7)] for t in texts])


def things_field() -> Field:
    """Lift the scene; codes are the embeddings themselves."""
    scene = tiny_gaussians()
    views = [LiftView(things_camera(i), id_maps(scene, i), table_of(i)) for i in range(VIEWS)]
    lifted, instances = lift_things(scene[0], views, Identity(DIM), LiftSettings(), InstanceSettings())
    about = {"image_encoder": "axes"}
    return Field(scene[0], lifted.codes, Identity(DIM), about, lifted.reliability, instances)
