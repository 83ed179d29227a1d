"""A globe, an alarm clock and a pencil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tabletop_objects.geometry import Mesh, lathe, merge, rounded_box, smooth_profile, sphere, tube
from tabletop_objects.kitchen import bead
from tabletop_objects.textures import clock_face
from tabletop_objects.things import Material, Part, Thing, srgb
from tabletop_objects.world_map import world_map

BRASS = Material(srgb("#c9a14a"), 0.25, metallic=1.0)


def globe() -> Thing:
    """Give a school globe, 26 cm high, tilted by 23.5 degrees on a wooden foot."""
    radius, centre = 0.088, (0.0, 0.0, 0.145)
    ball = sphere(radius, 72, 144).turned("z", 150).turned("y", 23.5).moved(centre)
    a = np.linspace(-np.pi / 2 - 0.06, np.pi / 2 + 0.06, 60)
    arc = np.stack([0 * a, -0.097 * np.cos(a), 0.097 * np.sin(a)], 1)
    meridian = tube(arc, 0.0035, 12).turned("y", 23.5).moved(centre)
    pins = (
        tube(np.array([[0, 0, -0.1], [0, 0, -0.03], [0, 0, 0.03], [0, 0, 0.1]]), 0.004, 12)
        .turned("y", 23.5)
        .moved(centre)
    )
    foot = lathe(
        smooth_profile(
            [(0, 0), (0.058, 0), (0.062, 0.006), (0.052, 0.015), (0.02, 0.021), (0.009, 0.030), (0, 0.032)], 60
        )
    )
    post = tube(np.array([[0, 0, 0.02], [0, -0.030, 0.030], [0, -0.055, 0.048], [0, -0.074, 0.078]]), 0.0055, 16)
    return Thing(
        "globe",
        (
            Part(ball, Material(world_map(), 0.3, clearcoat=0.4)),
            Part(merge(meridian, pins, post), BRASS),
            Part(foot, Material(srgb("#5a3218"), 0.35, clearcoat=0.3)),
        ),
    )


def alarm_clock() -> Thing:
    """Give a twin-bell alarm clock, 17 cm high, its face towards +x."""
    shell = lathe(
        [
            (0, -0.022),
            (0.046, -0.022),
            (0.052, -0.016),
            (0.052, 0.020),
            (0.050, 0.024),
            (0.045, 0.024),
            (0.044, 0.019),
            (0, 0.019),
        ],
        96,
    )
    stand = (0.0, 0.0, 0.070)
    case = shell.turned("y", 90).moved(stand)
    ring = (
        lathe([(0.0445, 0.0215), (0.0515, 0.0215), (0.0505, 0.0258), (0.0455, 0.0258), (0.0445, 0.0215)], 96)
        .turned("y", 90)
        .moved(stand)
    )
    bells, feet = [], []
    bowl = lathe(
        smooth_profile([(0, 0), (0.0245, 0), (0.0255, 0.003), (0.022, 0.013), (0.012, 0.019), (0, 0.021)], 50), 64
    )
    for s in (1, -1):
        bells.append(bowl.moved((0, 0, 0.056)).turned("x", -s * 33).moved(stand))
        bells.append(
            tube(np.array([[0, 0, 0.048], [0, 0, 0.06], [0, 0, 0.08]]), 0.0035, 12).turned("x", -s * 33).moved(stand)
        )
        bells.append(bead((0, 0, 0.081), 0.0048).turned("x", -s * 33).moved(stand))
        feet.append(
            tube(np.array([[0, 0, -0.046], [0, 0, -0.06], [0, 0, -0.0725]]), np.array([0.006, 0.005, 0.0035]), 16)
            .turned("x", s * 33)
            .moved(stand)
        )
        feet.append(bead((0, 0, -0.073), 0.006).turned("x", s * 33).moved(stand))
    hammer = [
        tube(np.array([[0, 0, 0.05], [0, 0, 0.064], [0, 0, 0.078]]), 0.0022, 10).moved(stand),
        rounded_box((0.008, 0.014, 0.008), 0.003, 8).moved((0, 0, 0.150)),
    ]
    arch = np.linspace(0.12, np.pi - 0.12, 30)
    grip = tube(np.stack([0 * arch, 0.038 * np.cos(arch), 0.128 + 0.034 * np.sin(arch)], 1), 0.0026, 12)
    lift = -min(m.vertices[:, 2].min() for m in feet)
    steel = Material(srgb("#d9dce0"), 0.18, metallic=1.0)
    parts = (
        Part(case, Material(srgb("#c4202b"), 0.3, clearcoat=0.7)),
        Part(_dial(0.0448).moved((0.0195, 0, 0.070)), Material(clock_face(), 0.5)),
        Part(merge(ring, *bells, *feet, *hammer, grip), steel),
    )
    return Thing("alarm clock", tuple(replace(p, mesh=p.mesh.moved((0, 0, lift)).scaled(1.15)) for p in parts))


def _dial(radius: float) -> Mesh:
    """Give a thin closed disc facing +x whose front carries a square picture, upright."""
    disc = lathe([(0, -0.0005), (radius, -0.0005), (radius, 0), (0, 0)], 72).turned("y", 90)
    uv = np.stack([disc.vertices[:, 1], disc.vertices[:, 2]], 1) / (2 * radius) + 0.5
    return replace(disc, uv=uv)


def pencil() -> Thing:
    """Give a sharpened yellow pencil, 18 cm long and 9 mm thick, lying along x."""

    def rod(x0: float, x1: float, r0: float, r1: float, sides: int) -> Mesh:
        return tube(
            np.stack([np.linspace(x0, x1, 3), np.zeros(3), np.full(3, 0.0042)], 1), np.linspace(r0, r1, 3), sides
        )

    return Thing(
        "pencil",
        (
            Part(rod(-0.065, 0.066, 0.0046, 0.0046, 6), Material(srgb("#f2b21b"), 0.3, clearcoat=0.5, flat=True)),
            Part(rod(0.066, 0.084, 0.0045, 0.0012, 24), Material(srgb("#e3bd8a"), 0.8)),
            Part(rod(0.084, 0.090, 0.0012, 0.0002, 12), Material(srgb("#222222"), 0.4)),
            Part(rod(-0.077, -0.065, 0.0047, 0.0047, 24), Material(srgb("#b9bcc0"), 0.25, metallic=1.0)),
            Part(rod(-0.090, -0.077, 0.0044, 0.0044, 24), Material(srgb("#e88a8f"), 0.8)),
        ),
    )
