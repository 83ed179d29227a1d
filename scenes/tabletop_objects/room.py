"""The room: a round wooden table on a parquet floor between papered walls with pictures; and its light."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from tabletop_objects.geometry import Mesh, lathe, merge, rounded_box, smooth_profile
from tabletop_objects.textures import mix, noise3, painted, wood
from tabletop_objects.things import Material, Part, Thing, srgb

TABLE_RADIUS = 0.60
FLOOR = -0.74
HALF_ROOM = 2.6
CEILING = 2.1


def table() -> Thing:
    """Give a round table whose top lies at z = 0."""
    r = TABLE_RADIUS
    slab = lathe(
        [
            (0, -0.035),
            (r - 0.02, -0.035),
            (r - 0.004, -0.028),
            (r, -0.016),
            (r - 0.003, -0.004),
            (r - 0.010, 0.0),
            (0, 0),
        ],
        160,
    )
    flat = slab.vertices[:, :2] / (2 * r) + 0.5
    top = Mesh(slab.vertices, slab.faces, flat)
    outline = [
        (0, FLOOR),
        (0.30, FLOOR),
        (0.31, FLOOR + 0.02),
        (0.10, FLOOR + 0.06),
        (0.05, FLOOR + 0.14),
        (0.06, -0.30),
        (0.10, -0.05),
        (0, -0.03),
    ]
    leg = lathe(smooth_profile(outline, 80), 64)
    oak = wood(1024, 1024, "#d8ad7a", "#9a6a3c", 4, planks=7)
    return Thing("", (Part(top, Material(oak, 0.42, clearcoat=0.25)), Part(leg, Material(srgb("#70451f"), 0.5))))


def quad(corners: list[tuple[float, float, float]], repeat: tuple[float, float] = (1, 1)) -> Mesh:
    """Give one rectangle from its corners (counter-clockwise from the front, first one at uv 0, 0)."""
    u, v = repeat
    return Mesh(
        np.asarray(corners, float), np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0, 0], [u, 0], [u, v], [0, v]], float)
    )


def wallpaper() -> np.ndarray:
    """Draw pale stripes with small diamonds between them."""

    def colour(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, y = u * 26, v * 14.2
        stripe = np.abs(x % 1 - 0.5)
        diamond = np.abs((x + 0.5) % 1 - 0.5) * 1.6 + np.abs((y + 0.5 * (np.floor(x + 0.5) % 2)) % 1 - 0.5)
        tone = mix(srgb("#ece5d6"), srgb("#dfe3da"), (0.30 - stripe) / 0.03)
        tone = mix(tone, srgb("#9fb2a6"), (0.15 - diamond) / 0.03)
        stain = noise3(np.stack([u * 9, v * 6, 0 * u], -1), 1.0, 6)
        return tone * (1 + 0.03 * stain[..., None])

    return painted(840, 1536, colour)


def art(seed: int) -> np.ndarray:
    """Draw an abstract picture of hills and a sun, or of coloured circles."""
    rng = np.random.default_rng(seed)
    palette = ["#27476e", "#d1495b", "#edae49", "#66a182", "#8d96a3", "#f4e9cd", "#3d405b"]
    image = Image.new("RGB", (384, 288), palette[5])
    draw = ImageDraw.Draw(image)
    if seed % 2:
        draw.ellipse((230, 40, 310, 120), fill=palette[2])
        for k in range(4):
            y = 110 + 45 * k + 18 * np.sin(np.arange(0, 392, 8) / (38 + 9 * k) + rng.uniform(0, 6))
            draw.polygon(
                [(0, 288), *[(8 * i, float(h)) for i, h in enumerate(y)], (384, 288)], fill=palette[(k + seed) % 5]
            )
    else:
        for _ in range(14):
            x, y, r = rng.uniform(0, 384), rng.uniform(0, 288), rng.uniform(18, 70)
            draw.ellipse((x - r, y - r, x + r, y + r), fill=palette[rng.integers(7)])
    return np.asarray(image)


def _wall(k: int, paper: np.ndarray) -> list[Part]:
    """Give wall number k (its inside faces the table) with a skirting board and two framed pictures."""
    h, d = HALF_ROOM, HALF_ROOM - 0.02
    parts = [
        Part(quad([(h, h, FLOOR), (h, -h, FLOOR), (h, -h, CEILING), (h, h, CEILING)]), Material(paper, 0.9)),
        Part(
            rounded_box((0.03, 2 * h, 0.14), 0.004, 4).moved((h - 0.012, 0, FLOOR + 0.07)),
            Material(srgb("#f3f0e8"), 0.5),
        ),
    ]
    for y, seed in ((-0.85, 2 * k + 1), (0.75, 2 * k + 2)):
        frame = rounded_box((0.03, 0.94, 0.74), 0.004, 4).moved((d, y, 0.42))
        picture = quad(
            [
                (d - 0.017, y + 0.42, 0.10),
                (d - 0.017, y - 0.42, 0.10),
                (d - 0.017, y - 0.42, 0.74),
                (d - 0.017, y + 0.42, 0.74),
            ]
        )
        parts += [Part(frame, Material(srgb("#3a2a1e"), 0.4)), Part(picture, Material(art(seed + 10), 0.7))]
    return [p.turned("z", 90 * k) for p in parts]


def room() -> Thing:
    """Give floor, rug and four walls; there is no ceiling, the light comes in from above."""
    h = HALF_ROOM
    floor = quad([(-h, -h, FLOOR), (h, -h, FLOOR), (h, h, FLOOR), (-h, h, FLOOR)])
    parquet = wood(1536, 1536, "#b98a5c", "#6e4526", 9, planks=26)

    def weave(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        r = np.hypot(u - 0.5, v - 0.5) * 2
        band = np.floor(r * 9).astype(int) % 3
        tone = np.array([srgb("#7c93a8"), srgb("#e6dfd0"), srgb("#b35c4a")])[band]
        return tone * (0.93 + 0.07 * noise3(np.stack([u, v, 0 * u], -1), 300.0, 3))[..., None]

    disc = lathe([(0, FLOOR + 0.001), (1.25, FLOOR + 0.001), (1.25, FLOOR + 0.012), (0, FLOOR + 0.012)], 128)
    rug = Mesh(disc.vertices, disc.faces, disc.vertices[:, :2] / 2.5 + 0.5)
    paper = wallpaper()
    walls = [part for k in range(4) for part in _wall(k, paper)]
    return Thing(
        "",
        (
            Part(floor, Material(parquet, 0.5, clearcoat=0.1)),
            Part(rug, Material(painted(768, 768, weave), 1.0)),
            *walls,
        ),
    )


def window() -> Mesh:
    """Give the window's rectangle of light, facing the table from above one side."""
    return merge(quad([(-0.9, 0.7, 0.0), (0.9, 0.7, 0.0), (0.9, -0.7, 0.0), (-0.9, -0.7, 0.0)]))
