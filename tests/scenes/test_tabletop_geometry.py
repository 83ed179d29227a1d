"""Meshes of the scene: closed, finite, right side out; surface nets and textures as stated."""

# The scripts lie outside the package; conftest.py puts them on the path.
# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabletop_objects import books, decor, desk, fields, food, geometry, kitchen, textures, toys
from tabletop_objects.geometry import Mesh
from tabletop_objects.things import Thing

BOOK = ("#123456", "#ffffff", ("A", "B"), (0.15, 0.2, 0.04))
QUICK: list[Callable[[], Thing]] = [
    desk.alarm_clock, desk.pencil, decor.gift_box, decor.traffic_cone, food.doughnut, food.pumpkin, food.bananas,
    kitchen.teapot, kitchen.soda_can, kitchen.candle, kitchen.wine_bottle, toys.puzzle_cube, toys.toy_car,
    lambda: kitchen.mug("mug", "#112233"), lambda: food.apple("apple", "#aa0000", "#bb2200", 1),
    lambda: books.book("book", *BOOK), lambda: toys.die("dice", "#ffffff", "#000000"),
]  # fmt: skip


def closed(mesh: Mesh) -> bool:
    return bool((geometry.edge_counts(mesh) % 2 == 0).all())


@pytest.mark.parametrize("make", QUICK, ids=lambda f: f.__name__)
def test_things_are_finite_and_stand_on_the_table(make):
    thing = make()
    low = min(part.mesh.vertices[:, 2].min() for part in thing.parts)
    assert -0.004 < low < 0.004
    for part in thing.parts:
        mesh = part.mesh
        assert np.isfinite(mesh.vertices).all()
        assert np.abs(mesh.vertices).max() < 0.35
        assert mesh.faces.min() >= 0
        assert mesh.faces.max() < len(mesh.vertices)
        given_by = [mesh.colour is not None, mesh.uv is not None and isinstance(part.material.colour, np.ndarray),
                    isinstance(part.material.colour, tuple)]  # fmt: skip
        assert any(given_by)
        assert mesh.colour is None or len(mesh.colour) == len(mesh.vertices)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 0.1), st.floats(0.001, 0.05)), min_size=2, max_size=8), st.integers(3, 40))
def test_lathes_from_axis_to_axis_are_closed_and_right_side_out(rings, segments):
    heights = np.cumsum([h for _, h in rings])
    profile = [(0, 0), *((r, h) for (r, _), h in zip(rings, heights, strict=True)), (0, heights[-1] + 0.01)]
    mesh = geometry.lathe(profile, segments)
    assert closed(mesh)
    assert geometry.volume(mesh) > 0


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 30), st.integers(3, 24), st.floats(0.2, 2.5))
def test_tubes_are_closed_and_right_side_out(rows, sides, bend):
    a = np.linspace(0, bend, rows)
    mesh = geometry.tube(np.stack([np.sin(a), 0 * a, np.cos(a)], 1), 0.05, sides)
    assert closed(mesh)
    assert geometry.volume(mesh) > 0


@pytest.mark.parametrize("mesh", [
    geometry.cube_sphere(3), geometry.rounded_box((0.1, 0.2, 0.05), 0.01, 6), geometry.sphere(0.1, 12, 24),
    food.torus(0.04, np.full((25, 13), 0.02), 12, 24),
], ids=["cube", "box", "sphere", "torus"])  # fmt: skip
def test_solids_are_closed_and_right_side_out(mesh):
    assert closed(mesh)
    assert geometry.volume(mesh) > 0


def test_an_open_mesh_is_noticed():
    mesh = geometry.sphere(0.1, 12, 24)
    assert not closed(Mesh(mesh.vertices, mesh.faces[1:]))


def test_volumes_in_closed_form():
    assert geometry.volume(geometry.sphere(0.1, 80, 160)) == pytest.approx(4 / 3 * np.pi * 1e-3, rel=2e-3)
    ring = food.torus(0.04, np.full((97, 65), 0.02), 64, 96)
    assert geometry.volume(ring) == pytest.approx(2 * np.pi**2 * 0.04 * 0.02**2, rel=5e-3)
    assert geometry.volume(geometry.box_uv((0.1, 0.2, 0.3))) == pytest.approx(0.006)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 0.1), st.floats(-0.02, 0.02))
def test_surface_net_of_a_ball_is_a_ball(radius, shift):
    centre = (shift, 0.01, -shift)
    mesh = fields.surface(fields.ball(centre, radius), (-0.15,) * 3, (0.15,) * 3, 0.01)
    assert closed(mesh)
    assert geometry.volume(mesh) == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.08)
    distance = np.linalg.norm(mesh.vertices - centre, axis=1)
    assert np.abs(distance - radius).max() < 0.01


@given(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
@settings(max_examples=30, deadline=None)
def test_blending_never_shrinks(x, y):
    p = np.array([[x, y, 0.0]])
    a, b = fields.ball((0.05, 0, 0), 0.06), fields.capsule((-0.1, 0, 0), (0, 0.05, 0), 0.03)
    assert fields.blend(0.02, a, b)(p)[0] <= min(a(p)[0], b(p)[0]) + 1e-12


def test_turning_is_rigid():
    R = geometry.rotation("y", 37)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(geometry.rotation("z", 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_textures_are_what_they_say():
    ball = textures.football(64)
    dark = (ball.mean(-1) < 60).mean(1)
    assert ball.shape == (64, 128, 3)
    assert ball.dtype == np.uint8
    assert 0.1 < dark.mean() < 0.4
    pips = [(np.asarray(textures.die_face(n, "#ffffff", "#000000")).mean(-1) < 128).mean() for n in range(1, 7)]
    np.testing.assert_allclose(np.array(pips) / pips[0], np.arange(1, 7), rtol=0.02)


def test_opposite_faces_of_a_die_add_up_to_seven():
    die = toys.die("dice", "#ffffff", "#000000")
    sheet = die.parts[0].material.colour
    assert isinstance(sheet, np.ndarray)
    cells = [sheet[256 * (1 - k // 3) : 256 * (2 - k // 3), 256 * (k % 3) : 256 * (k % 3 + 1)] for k in range(6)]
    pips = [round(float((c.mean(-1) < 128).mean()) / (np.pi * 26**2 / 256**2)) for c in cells]
    assert [pips[0] + pips[1], pips[2] + pips[3], pips[4] + pips[5]] == [7, 7, 7]
