"""Which views are looked at: how much of a picture a thing could take, and in which of many it takes most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gaussians import Selection
from langfield.query.things import see
from langfield.query.views import Search, most_of, reach, spread_views
from langfield.raster.types import Gaussians

WIDTH, HEIGHT, FOCAL = 64, 48, 60.0
SMALL = Search(3, WIDTH)


def turned(angle: float, back: float = 0.0) -> Camera:
    """In the middle, looking out level; moved back by so much."""
    c, s = np.cos(angle), np.sin(angle)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    T[:3, 3] = -back * T[:3, 2]
    K = torch.tensor([[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, WIDTH, HEIGHT, T)


def patch(middle: tuple[float, float, float], half: float, side: int = 9) -> torch.Tensor:
    """An evenly filled upright square that faces z."""
    at = torch.linspace(-half, half, side)
    x, y = torch.meshgrid(at, at, indexing="xy")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1).reshape(-1, 3) + torch.tensor(middle)


def blobs(points: torch.Tensor) -> Gaussians:
    n = len(points)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1)
    return Gaussians(points, quats, torch.full((n, 3), -2.9), torch.full((n,), 4.0), torch.zeros(n, 1, 3))


def share(field: Field, camera: Camera, rows: Selection) -> float:
    return float(see(field, [rows], camera)[0].mask.mean())


@pytest.mark.parametrize("far", [2.0, 4.0])
def test_an_even_square_reaches_over_its_own_picture_and_a_margin(far):
    at = torch.linspace(-0.3, 0.3, 9, dtype=torch.float64)
    wide = 4 * float(at.std(correction=0)) * FOCAL / far
    found = reach(patch((0.0, 0.0, far), 0.3), [turned(0.0), turned(np.pi), turned(np.pi / 2)])
    np.testing.assert_allclose(found, [wide**2 / (WIDTH * HEIGHT), 0, 0], rtol=1e-5)


def test_what_lies_outside_does_not_count_and_nothing_takes_more_than_all():
    points = patch((0.0, 0.0, 1.0), 50.0, 33)
    assert reach(points, [turned(0.0)])[0] <= 1
    half = torch.cat([patch((0.0, 0.0, 2.0), 0.2), patch((9.0, 0.0, 2.0), 0.2)])
    assert reach(half, [turned(0.0)]) == pytest.approx(reach(half[:81], [turned(0.0)]))
    assert reach(points[:0], [turned(0.0)])[0] == 0


def test_of_many_views_the_one_that_shows_most_is_found_among_few():
    thing = patch((0.0, 0.0, 3.0), 0.3)
    field = Field(blobs(torch.cat([thing, patch((-8.0, 0.0, -2.0), 0.3)])), None, None, {})
    views = {f"{i}.png": turned(2 * np.pi * (i + 13) / 40, back=0.02 * (i % 7)) for i in range(40)}
    rows = Selection(np.arange(len(thing)), None)
    shares = {name: share(field, camera, rows) for name, camera in views.items()}
    best = max(shares, key=lambda name: shares[name])
    assert sum(s > 0 for s in shares.values()) < 10
    assert shares[most_of(field, views, rows, SMALL)] == shares[best]
    enough = most_of(field, views, rows, replace(SMALL, enough=0.5))
    assert shares[enough] >= 0.5 * shares[best]


def test_where_something_hides_it_another_view_is_taken():
    thing, wall = patch((0.0, 0.0, 3.0), 0.3), patch((0.0, 0.0, 2.0), 0.6, 17)
    field = Field(blobs(torch.cat([thing, wall])), None, None, {})
    rows = Selection(np.arange(len(thing)), None)
    beyond = replace(turned(np.pi), T_world_camera=turned(np.pi).T_world_camera.clone())
    beyond.T_world_camera[2, 3] = 8.0
    views = {"before the wall": turned(0.0), "beyond": beyond}
    promised = reach(thing, list(views.values()))
    assert promised[0] > promised[1] > 0
    assert share(field, views["before the wall"], rows) == 0
    assert most_of(field, views, rows, SMALL) == "beyond"


def test_spread_views_are_even_and_none_is_an_error():
    views = {str(i): turned(0.1 * i) for i in range(10)}
    assert spread_views(views, 4) == ["0", "3", "6", "9"]
    assert spread_views(views, 99) == list(views)
    with pytest.raises(QueryError, match="no view"):
        spread_views({}, 4)
    with pytest.raises(QueryError, match="no view"):
        most_of(Field(blobs(patch((0.0, 0.0, 3.0), 0.3)), None, None, {}), {}, Selection(np.arange(3), None), SMALL)
