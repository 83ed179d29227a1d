"""Things with states: a table lamp, a bottle that falls, a carton, a bowl of soup, a loaf of bread.

Each is a function of one number between its two states; the meshes keep their faces, only vertices and glow change.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from tabletop_objects.fields import Field, surface
from tabletop_objects.geometry import Mesh, lathe, merge, rotation, rounded_box, smooth_profile
from tabletop_objects.kitchen import glazed, wine_bottle
from tabletop_objects.textures import mix, noise3
from tabletop_objects.things import Material, Part, Thing, srgb

CARTON = (0.19, 0.15, 0.10)
"""Length, width and height of the box in metres."""
FLAP_DEGREES = 128.0
BOTTLE_RADIUS = 0.0375
LOAF = (0.125, 0.062, 0.056)
"""Half length, half width and half height of the loaf in metres."""


def lamp(lit: float) -> Thing:
    """Give a table lamp, 31 cm high, its fabric shade glowing when `lit` is 1."""
    foot = lathe(
        smooth_profile([(0, 0), (0.062, 0), (0.066, 0.008), (0.05, 0.018), (0.016, 0.024), (0, 0.026)], 60), 64
    )
    stem = lathe([(0, 0.02), (0.009, 0.02), (0.009, 0.21), (0, 0.21)], 32)
    outside = [(0.104, 0.170), (0.064, 0.335)]
    shade = lathe([(0.102, 0.170), *outside, (0.062, 0.335), (0.102, 0.170)], 96)
    bulb = lathe(smooth_profile([(0, 0.20), (0.012, 0.205), (0.026, 0.245), (0.02, 0.275), (0, 0.285)], 40), 32)
    fabric = Material(srgb("#ecdcae"), 0.9, glow=1e-6 + 1.3 * lit)
    parts = (
        Part(shade, fabric),
        Part(bulb, Material(srgb("#fff0c8"), 0.4, glow=1e-6 + 5.0 * lit)),
        Part(merge(foot, stem), Material(srgb("#2b2f36"), 0.3, metallic=0.6)),
    )
    return Thing("lamp", tuple(replace(p, mesh=p.mesh.scaled(0.92)) for p in parts))


def bottle(fallen: float) -> Thing:
    """Give the wine bottle, tilted over the edge of its base towards +x; on its side when `fallen` is 1."""
    turn = rotation("y", 90.0 * fallen).T
    edge = np.array([BOTTLE_RADIUS, 0.0, 0.0])
    parts = wine_bottle().parts
    return Thing("bottle", tuple(
        replace(p, mesh=replace(p.mesh, vertices=(p.mesh.vertices - edge) @ turn + edge)) for p in parts
    ))  # fmt: skip


def box(opened: float) -> Thing:
    """Give a cardboard box whose two flaps stand up and lean outwards when `opened` is 1."""
    length, width, height = CARTON
    wall = 0.004
    sides = [
        rounded_box((length, wall, height), 0.001, 4).moved((0, s * (width - wall) / 2, height / 2)) for s in (1, -1)
    ]
    ends = [
        rounded_box((wall, width, height), 0.001, 4).moved((s * (length - wall) / 2, 0, height / 2)) for s in (1, -1)
    ]
    floor = rounded_box((length, width, wall), 0.001, 4).moved((0, 0, wall / 2))
    flaps = [_flap(s, opened, (length, width / 2 - 0.0005, wall)) for s in (1, -1)]
    tapes = [_flap(s, opened, (0.045, width / 2 - 0.0005, 0.0012), lift=0.0028) for s in (1, -1)]
    label = rounded_box((0.07, 0.001, 0.045), 0.0004, 4).moved((0.03, -width / 2 - 0.0004, 0.045))
    card = Material(srgb("#b98b57"), 0.85)
    inside = rounded_box((length - 3 * wall, width - 3 * wall, 0.001), 0.0004, 4).moved((0, 0, wall + 0.001))
    return Thing("box", (
        Part(merge(*sides, *ends, floor), card),
        Part(merge(*flaps), Material(srgb("#c29765"), 0.85)),
        Part(merge(*tapes), Material(srgb("#ead9a6"), 0.3, clearcoat=0.4)),
        Part(inside, Material(srgb("#4a3520"), 0.9)),
        Part(label, Material(srgb("#f4f2ec"), 0.6)),
    ))  # fmt: skip


def _flap(sign: int, opened: float, size: tuple[float, float, float], lift: float = 0.0) -> Mesh:
    """Give one flap, hinged along the upper edge of the side towards `sign` y."""
    _, width, height = CARTON
    lying = rounded_box(size, min(size) / 3, 6).moved((0, -sign * size[1] / 2, size[2] / 2 + lift))
    return lying.turned("x", -sign * FLAP_DEGREES * opened).moved((0, sign * width / 2, height))


def bowl(filled: float) -> Thing:
    """Give a blue bowl, 19 cm wide and white inside, with tomato soup up to the rim when `filled` is 1."""
    outer = [(0, 0.0), (0.036, 0.0), (0.040, 0.006), (0.066, 0.020), (0.088, 0.044), (0.096, 0.068)]
    inner = [(0.091, 0.067), (0.083, 0.046), (0.062, 0.025), (0.036, 0.013), (0, 0.011)]
    shell = lathe(np.concatenate([smooth_profile(outer, 60), [(0.0945, 0.0705), (0.0925, 0.0705)]]), 96)
    lining = lathe(np.concatenate([[(0.0925, 0.0705)], smooth_profile(inner, 60)]), 96)
    level = 0.009 + 0.049 * filled
    heights, radii = np.array([p[1] for p in inner[::-1]]), np.array([p[0] for p in inner[::-1]])
    radius = max(0.0015, float(np.interp(level, heights, radii)) + 0.0005)
    soup = lathe([(0, level - 0.0012), (radius, level - 0.0012), (radius, level), (0, level)], 64)
    return Thing("bowl", (
        Part(shell, glazed(srgb("#2f5fae"))),
        Part(lining, glazed(srgb("#f6f4ee"))),
        Part(soup, Material(srgb("#d2461a"), 0.25, clearcoat=0.3)),
    ))  # fmt: skip


def bread(split: float) -> Thing:
    """Give a loaf, 25 cm long; its halves lie apart, crumb towards -y, when `split` is 1."""
    halves = []
    for sign, half in ((-1, _half_loaf()), (1, _half_loaf().turned("z", 180.0))):
        halves.append(half.turned("z", sign * 62.0 * split).moved((sign * 0.075 * split, -0.01 * split, LOAF[2])))
    return Thing("bread", (Part(merge(*halves), Material(roughness=0.85)),))


def _loaf_field() -> Field:
    a, b, c = LOAF

    def distance(p: np.ndarray) -> np.ndarray:
        low = np.maximum(-p[..., 2] - 0.75 * c, 0.0) * 2.5  # a flat underside
        bumps = 0.03 * np.cos(p[..., 0] * 2 * np.pi / 0.05) * np.clip(p[..., 2] / c, 0, 1)
        r = (np.abs(p[..., 0]) / a) ** 2.6 + (np.abs(p[..., 1]) / b) ** 2.3 + (np.abs(p[..., 2]) / c) ** 2.3
        loaf = (r ** (1 / 2.4) - 1.0 + bumps) * c + low
        return np.maximum(loaf, p[..., 0])  # cut at x = 0

    return distance


@cache
def _half_loaf() -> Mesh:
    """Give the half at negative x, its cut at x = 0, its underside at z = -LOAF[2]."""
    mesh = surface(_loaf_field(), (-0.14, -0.08, -0.075), (0.02, 0.08, 0.075), 0.003)
    p = mesh.vertices.copy()
    p[:, 2] = np.maximum(p[:, 2], -0.8 * LOAF[2])
    low = p[:, 2].min()
    p[:, 2] += -LOAF[2] - low
    grain = noise3(p, 120, 3)
    crust = mix(srgb("#c07a30"), srgb("#7d4314"), 0.35 + 0.4 * grain + 5.0 * p[:, 2])
    slash = np.cos(p[:, 0] * 2 * np.pi / 0.05) > 0.75
    crust = mix(crust, np.array(srgb("#e3b877")), 0.75 * slash * np.clip(p[:, 2] / 0.03, 0, 1))
    crumb = mix(srgb("#f7ebcd"), srgb("#e2c894"), 0.4 + 0.6 * noise3(p, 260, 5))
    inside = (p[:, 0] > -0.0025) & (np.hypot(p[:, 1] / (LOAF[1] - 0.005), p[:, 2] / (LOAF[2] - 0.004)) < 1.0)
    return Mesh(p, mesh.faces, None, np.where(inside[:, None], crumb, crust))
