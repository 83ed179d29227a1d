"""Mugs, a teapot, a wine bottle, a soda can and a candle."""

from __future__ import annotations

import numpy as np

from tabletop_objects.geometry import Mesh, lathe, merge, smooth_profile, sphere, tube
from tabletop_objects.textures import canvas, lettering, mix, painted
from tabletop_objects.things import Colour, Material, Part, Thing, srgb


def glazed(colour: Colour | np.ndarray) -> Material:
    """Give glazed ceramic."""
    return Material(colour, roughness=0.28, clearcoat=0.8)


def _mm(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(r / 1000, z / 1000) for r, z in points]


def disc(radius: float, height: float, thickness: float = 0.001) -> Mesh:
    """Give a thin closed disc whose top lies at `height`."""
    return lathe([(0, height - thickness), (radius, height - thickness), (radius, height), (0, height)], 64)


def mug(name: str, colour: str) -> Thing:
    """Give a straight mug, 9.5 cm high, with a handle towards +x and coffee in it."""
    wall = [(0, 3), (30, 3), (34, 0), (38, 1.5), (41, 6), (41.5, 50), (41.5, 93), (40.5, 95.5), (38.5, 95), (37.5, 92)]
    body = lathe(_mm([*wall, (37.5, 10), (34, 6), (0, 6)]), 96)
    a = np.linspace(-1.9, 1.9, 40)
    path = np.stack(
        [0.036 + 0.033 * np.clip(np.cos(a * 0.86) + 0.12, 0, 1), 0 * a, 0.048 + 0.031 * np.sin(a * 0.83)], 1
    )
    handle = tube(path, 0.0058, 18, squash=1.25)
    coffee = disc(0.0376, 0.080)
    parts = ((body, glazed(srgb(colour))), (handle, glazed(srgb(colour))), (coffee, Material(srgb("#3a1f10"), 0.15)))
    return Thing(name, tuple(Part(mesh.scaled((1.12, 1.12, 1.0)), material) for mesh, material in parts))


def teapot() -> Thing:
    """Give a round porcelain teapot, 24 cm from handle to spout, with blue bands."""
    blue = np.array(srgb("#2c4fa3"))

    def bands(_u: np.ndarray, v: np.ndarray) -> np.ndarray:
        line = ((np.abs(v - 0.80) < 0.012) | (np.abs(v - 0.845) < 0.005) | (np.abs(v - 0.16) < 0.008))[..., None]
        return np.where(line, blue, np.array(srgb("#f3efe4")))

    outline = [
        (0, 4),
        (34, 3),
        (40, 0),
        (44, 4),
        (60, 24),
        (70, 52),
        (66, 82),
        (50, 104),
        (38, 112),
        (36, 115),
        (0, 116),
    ]
    body = lathe(smooth_profile(_mm(outline), 100), 120)
    lid = lathe(smooth_profile(_mm([(0, 113), (37, 113), (40, 116), (34, 123), (18, 130), (0, 132)]), 50), 80)
    knob = lathe(smooth_profile(_mm([(0, 128), (6, 131), (6, 136), (12, 143), (10, 151), (0, 154)]), 40), 48)
    curve = smooth_profile(
        [(0.050, 0, 0.038), (0.082, 0, 0.050), (0.098, 0, 0.080), (0.112, 0, 0.106), (0.132, 0, 0.118)]
    )
    t = np.linspace(0, 1, len(curve))
    spout = tube(curve, np.interp(t, [0, 0.35, 0.8, 1], [0.024, 0.016, 0.0095, 0.0085]), 32)
    hole = tube(curve[-2:] + np.array([[0.0006, 0, 0.0004], [0.0012, 0, 0.0006]]), 0.0062, 24)
    grip = smooth_profile(
        [
            (-0.054, 0, 0.094),
            (-0.086, 0, 0.106),
            (-0.112, 0, 0.088),
            (-0.106, 0, 0.056),
            (-0.080, 0, 0.036),
            (-0.060, 0, 0.032),
        ]
    )
    handle = tube(grip, 0.0068, 20, squash=1.3)
    white = glazed(srgb("#f3efe4"))
    return Thing(
        "teapot",
        (
            Part(body, glazed(painted(512, 8, bands))),
            Part(merge(lid, spout, handle), white),
            Part(knob, glazed(srgb("#2c4fa3"))),
            Part(hole, Material(srgb("#1b1712"), 0.9)),
        ),
    )


def wine_bottle() -> Thing:
    """Give a dark green bottle, 30 cm high, with a paper label and a red capsule."""
    outline = [
        (0, 8),
        (20, 3),
        (35, 0),
        (37.5, 6),
        (37.5, 60),
        (37.5, 180),
        (36, 196),
        (26, 218),
        (16, 238),
        (14.5, 290),
        (15.5, 292),
        (15.5, 299),
        (13, 301),
        (0, 301),
    ]
    glass = lathe(np.concatenate([_mm(outline[:4]), smooth_profile(_mm(outline[4:]), 140)]), 96)
    capsule = lathe(
        _mm([(0, 238), (16.3, 238), (15.2, 262), (15.2, 291), (16.1, 293), (16.1, 301), (14, 303), (0, 303)]), 64
    )
    label = lathe(_mm([(37, 60), (37.9, 60), (37.9, 150), (37, 150), (37, 60)]), 96)
    return Thing(
        "wine bottle",
        (
            Part(glass, Material(srgb("#16291a"), 0.12, clearcoat=1.0)),
            Part(capsule, Material(srgb("#7c1023"), 0.35, metallic=0.4)),
            Part(label, Material(_wine_label(), 0.75)),
        ),
    )


def _wine_label() -> np.ndarray:
    """Draw the label's outside; the profile spends 45 % of v on it, and it repeats twice round the bottle."""
    image, draw = canvas(1024, 800, "#f1e7d0")
    low, high = 800 * (1 - 0.9 / 181.8) - 800 * 90 / 181.8, 800 * (1 - 0.9 / 181.8)
    for x in (256, 768):
        draw.rectangle((x - 180, low + 30, x + 180, high - 30), outline="#8a6d2f", width=6)
        lettering(draw, "CHATEAU", (x, low + 90), 62, "#5b1220")
        lettering(draw, "LANGFIELD", (x, low + 160), 58, "#5b1220")
        draw.polygon([(x, low + 200), (x + 60, low + 260), (x - 60, low + 260)], fill="#8a6d2f")
        draw.rectangle((x - 45, low + 260, x + 45, low + 300), fill="#8a6d2f")
        lettering(draw, "2023", (x, low + 335), 44, "#333333")
    return np.asarray(image)


def soda_can() -> Thing:
    """Give a red can of cola, 12 cm high, with an aluminium lid and tab."""
    image, draw = canvas(1024, 512, "#c8131d")
    u = np.arange(1025)
    for shift in (0, 512):
        wave = 300 + 60 * np.sin((u - shift) / 1024 * 2 * np.pi * 2)
        if shift == 0:
            draw.line([(int(a), int(b)) for a, b in zip(u, wave, strict=True)], fill="#ffffff", width=34)
        lettering(draw, "Cola", (256 + shift, 200), 190, "#ffffff")
    body = lathe(_mm([(32.5, 8), (33, 10), (33, 104), (32.5, 106)]), 96)
    shell = lathe(
        _mm(
            [
                (0, 4),
                (20, 4),
                (24, 0),
                (26, 1),
                (32.5, 8),
                (32.5, 106),
                (27.5, 117),
                (27.5, 120),
                (26, 120.5),
                (25, 117),
                (0, 116.5),
            ]
        ),
        96,
    )
    tab = lathe(_mm([(0, 117), (9, 117), (9, 119), (0, 119)]), 32).scaled((1, 0.65, 1)).moved((0.004, 0, 0))
    metal = Material(srgb("#c9ccd0"), 0.25, metallic=1.0)
    return Thing(
        "soda can",
        (
            Part(body, Material(np.asarray(image), 0.3, metallic=0.25, clearcoat=0.6)),
            Part(merge(shell, tab), metal),
        ),
    )


def candle() -> Thing:
    """Give a lit pillar candle, 14 cm with its flame, on a brass saucer."""
    rim = [(0, 9), (20, 9), (29, 9.5), (31, 11), (32, 110), (30.5, 113), (27, 112), (20, 107), (0, 105)]

    def warm(_u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return mix(srgb("#efe3c4"), srgb("#ffdf9e"), (v - 0.45) * 2.5)

    wax = lathe(_mm(rim), 80)
    saucer = lathe(_mm([(0, 0), (38, 0), (52, 6), (54, 9), (52, 9.5), (40, 4), (0, 4)]), 96)
    drop = lathe(smooth_profile(_mm([(0, 117), (5, 121), (6.6, 128), (4.5, 140), (1.5, 151), (0, 156)]), 50), 32)
    wick = tube(np.array([[0, 0, 0.103], [0, 0, 0.112], [0.001, 0, 0.119]]), 0.0011, 8)
    grip = tube(_ring((0.060, 0, 0.011), 0.012), 0.0026, 12)
    brass = Material(srgb("#c79a45"), 0.28, metallic=1.0)
    return Thing(
        "candle",
        (
            Part(wax, Material(painted(128, 4, warm), 0.45)),
            Part(merge(saucer, grip), brass),
            Part(wick, Material(srgb("#1a1410"), 0.9)),
            Part(drop, Material(srgb("#ffb64a"), 0.9, glow=5.0)),
        ),
    )


def _ring(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    a = np.linspace(0, 2 * np.pi, 40)
    return np.asarray(centre) + radius * np.stack([np.cos(a), 0 * a, np.sin(a)], 1)


def bead(at: tuple[float, float, float], radius: float) -> Mesh:
    """Give a small ball."""
    return sphere(radius, 24, 48).moved(at)
