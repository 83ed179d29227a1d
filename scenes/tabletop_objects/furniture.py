"""Furniture and larger things of the loop's room, in fine grids, so that light can be kept at their corners."""

from __future__ import annotations

import numpy as np

from tabletop_objects.geometry import Mesh, grid_faces, lathe, merge, rounded_box, smooth_profile, sphere
from tabletop_objects.room import FLOOR
from tabletop_objects.textures import noise3, painted, wood
from tabletop_objects.things import Material, Part, Thing, srgb

STEP = 0.03
"""Metres between the corners of a grid."""


def sheet(corners: list[tuple[float, float, float]], step: float = STEP, repeat: tuple[float, float] = (1, 1)) -> Mesh:
    """Give a rectangle as a grid; corners counter-clockwise from the front, the first at uv 0, 0."""
    a, b, _, d = (np.asarray(c, float) for c in corners)
    columns, rows = (max(2, round(np.linalg.norm(e - a) / step) + 1) for e in (b, d))
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    vertices = a + u[..., None] * (b - a) + v[..., None] * (d - a)
    uv = np.stack([u.ravel() * repeat[0], v.ravel() * repeat[1]], 1)
    return Mesh(vertices.reshape(-1, 3), grid_faces(rows, columns), uv)


def slab(size: tuple[float, float, float], at: tuple[float, float, float], step: float = STEP) -> Mesh:
    """Give a sharp box of grids whose centre is `at`; each face carries the whole texture."""
    x, y, z = (s / 2 for s in size)
    faces = [
        [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)],
        [(-x, y, -z), (x, y, -z), (x, -y, -z), (-x, -y, -z)],
        [(-x, -y, -z), (x, -y, -z), (x, -y, z), (-x, -y, z)],
        [(x, y, -z), (-x, y, -z), (-x, y, z), (x, y, z)],
        [(x, -y, -z), (x, y, -z), (x, y, z), (x, -y, z)],
        [(-x, y, -z), (-x, -y, -z), (-x, -y, z), (-x, y, z)],
    ]
    return merge(*(sheet(f, step) for f in faces)).moved(at)


def legs(half: tuple[float, float], top: float, thick: float = 0.05) -> Mesh:
    """Give four square legs from the floor up to `top`."""
    height = top - FLOOR
    places = [(sx * half[0], sy * half[1]) for sx in (1, -1) for sy in (1, -1)]
    return merge(*(slab((thick, thick, height), (x, y, FLOOR + height / 2)) for x, y in places))


def round_table() -> Thing:
    """Give a round oak table of 0.55 m radius, its top at z = 0."""
    r = 0.55
    profile = [(0, -0.035), (r - 0.02, -0.035), (r, -0.016), (r - 0.004, -0.004)]
    profile += [(float(q), 0.0) for q in np.linspace(r - 0.01, 0, 20)]
    top = lathe(profile, 120)
    top = Mesh(top.vertices, top.faces, top.vertices[:, :2] / (2 * r) + 0.5)
    leg = lathe(smooth_profile([(0, FLOOR), (0.28, FLOOR), (0.06, FLOOR + 0.1), (0.05, -0.3), (0.1, -0.03)], 60), 48)
    oak = wood(768, 768, "#d8ad7a", "#9a6a3c", 4, planks=7)
    return Thing("", (Part(top, Material(oak)), Part(leg, Material(srgb("#70451f")))))


def desk() -> Thing:
    """Give a desk of 1.5 x 0.6 m along y = 0, its top at z = 0."""
    grain = wood(384, 960, "#8a5a3a", "#4e2f1c", 21, planks=4)
    top = slab((1.5, 0.6, 0.035), (0, 0, -0.0175))
    drawers = merge(*(slab((0.4, 0.5, 0.16), (0.5, 0.02, -0.13 - 0.17 * k)) for k in range(3)))
    return Thing("", (
        Part(top, Material(grain)), Part(legs((0.7, 0.25), -0.035), Material(srgb("#3a3a3e"))),
        Part(drawers, Material(wood(128, 384, "#94643f", "#5b3823", 22))),
    ))  # fmt: skip


def sideboard() -> Thing:
    """Give a painted sideboard of 1.5 x 0.45 m along y = 0, its top at z = 0.06."""
    top = slab((1.54, 0.49, 0.03), (0, 0, 0.045))
    body = slab((1.5, 0.45, 0.70), (0, 0, -0.32))
    doors = merge(*(slab((0.46, 0.02, 0.56), (x, -0.235, -0.31)) for x in (-0.49, 0, 0.49)))
    knobs = merge(*(rounded_box((0.03, 0.03, 0.03), 0.012, 4).moved((x, -0.255, -0.2)) for x in (-0.32, 0.17, 0.66)))
    return Thing("", (
        Part(top, Material(wood(256, 768, "#c9a06c", "#8e6234", 31, planks=3))), Part(body, Material(srgb("#4f6f6a"))),
        Part(doors, Material(_brushed("#5f857f"))), Part(knobs, Material(srgb("#caa64a"))),
    ))  # fmt: skip


def bench() -> Thing:
    """Give a low bookcase of 1.4 x 0.42 m along y = 0, its top at z = -0.22."""
    top, bottom = slab((1.4, 0.42, 0.03), (0, 0, -0.235)), slab((1.4, 0.42, 0.03), (0, 0, FLOOR + 0.02))
    walls = merge(*(slab((0.03, 0.42, 0.48), (x, 0, -0.49)) for x in (-0.685, -0.23, 0.23, 0.685)))
    back = slab((1.4, 0.02, 0.48), (0, 0.2, -0.49))
    pale = wood(256, 768, "#e0c9a2", "#b4935f", 41, planks=2)
    rng, spines, x = np.random.default_rng(5), [], -0.64
    while x < 0.64:
        wide, high = rng.uniform(0.02, 0.05), rng.uniform(0.24, 0.36)
        colour = ("#8c2f39", "#2f4f6f", "#c9a227", "#4d6b3c", "#6b4a6e", "#d9d0c0", "#30363c")[rng.integers(7)]
        if min(abs(x + wide / 2 - w) for w in (-0.23, 0.23)) > 0.05:
            spine = slab((wide - 0.002, 0.26, high), (x + wide / 2, -0.02, FLOOR + 0.035 + high / 2), 0.06)
            spines.append(Part(spine, Material(_brushed(colour, rng.integers(1000)))))
        x += wide
    return Thing("", (Part(merge(top, bottom, walls), Material(pale)), Part(back, Material(srgb("#b99d70"))), *spines))


def _brushed(colour: str, seed: int = 0) -> np.ndarray:
    """Draw one colour with streaks, so that there is something to track."""

    def tone(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        streaks = noise3(np.stack([u * 3, v * 40, 0 * u + 0.3], -1), 1.0, seed)
        spots = noise3(np.stack([u * 9, v * 9, 0 * u + 0.7], -1), 1.0, seed + 1)
        return np.asarray(srgb(colour)) * (1 + 0.18 * streaks + 0.12 * spots)[..., None]

    return painted(256, 256, tone)


def chair() -> Thing:
    """Give a wooden chair with a woven seat, its back towards +y, standing on the floor."""
    seat = slab((0.42, 0.42, 0.04), (0, 0, 0.45), 0.02)
    posts = [(x, -0.18, 0.43) for x in (-0.18, 0.18)] + [(x, 0.19, 0.95) for x in (-0.19, 0.19)]
    frame = merge(*(slab((0.04, 0.04, h), (x, y, h / 2)) for x, y, h in posts))
    rails = merge(*(slab((0.38, 0.025, 0.07), (0, 0.19, z)) for z in (0.62, 0.75, 0.88)))

    def weave(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        over = (np.floor(u * 14) + np.floor(v * 14)) % 2
        return np.where(over[..., None] > 0, srgb("#d7b56d"), srgb("#a67f3c"))

    pine = wood(128, 256, "#a9522f", "#6f2f18", 51)
    return Thing("chair", (Part(merge(frame, rails), Material(pine)), Part(seat, Material(painted(256, 256, weave)))))


def vase() -> Thing:
    """Give a white vase with blue bands, 26 cm high."""
    outline = [(0, 0), (0.045, 0), (0.075, 0.07), (0.07, 0.13), (0.03, 0.2), (0.04, 0.26), (0.034, 0.26), (0.024, 0.2)]

    def glaze(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        wave = np.abs(np.sin(8 * np.pi * u)) * 0.06
        blue = ((np.abs(v - 0.35 - wave) < 0.03) | (np.abs(v - 0.55) < 0.02) | (np.abs(v - 0.18) < 0.012))[..., None]
        return np.where(blue, srgb("#23469c"), srgb("#f1f0ea"))

    return Thing(
        "vase", (Part(lathe(smooth_profile([*outline, (0, 0.15)], 90), 72), Material(painted(256, 512, glaze))),)
    )


def bowl() -> Thing:
    """Give a green bowl, 20 cm wide."""
    outline = [(0, 0), (0.04, 0), (0.045, 0.012), (0.09, 0.05), (0.1, 0.085), (0.096, 0.085), (0.08, 0.05), (0, 0.02)]
    return Thing("bowl", (Part(lathe(smooth_profile(outline, 80), 72), Material(srgb("#2f8f63"))),))


def lamp() -> Thing:
    """Give a table lamp with an orange shade, 40 cm high."""
    foot = lathe(smooth_profile([(0, 0), (0.07, 0), (0.06, 0.02), (0.018, 0.06), (0.03, 0.12), (0.012, 0.24)], 60), 48)
    shade = lathe([(0.115 - 0.035 * t, 0.22 + 0.17 * t) for t in np.linspace(0, 1, 9)] + [(0, 0.39)], 64)
    return Thing("lamp", (Part(foot, Material(srgb("#a58a5a"))), Part(shade, Material(_brushed("#e8762c", 7)))))


def bucket() -> Thing:
    """Give a red bucket with a white band, 26 cm high."""
    side = [(0.09 + 0.04 * t, 0.26 * t) for t in np.linspace(0, 1, 12)]
    inside = [(0.124 - 0.036 * t, 0.26 - 0.24 * t) for t in np.linspace(0, 1, 12)]

    def paint(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.where((np.abs(v - 0.36) < 0.04)[..., None], srgb("#f3efe6"), srgb("#c4202a")) + 0 * u[..., None]

    return Thing("bucket", (Part(lathe([(0, 0), *side, *inside, (0, 0.02)], 72), Material(painted(256, 64, paint))),))


def suitcase() -> Thing:
    """Give a brown suitcase with straps, 46 cm wide, standing."""
    body = rounded_box((0.46, 0.16, 0.34), 0.03, 24).moved((0, 0, 0.17))
    straps = merge(*(rounded_box((0.035, 0.168, 0.348), 0.02, 12).moved((x, 0, 0.17)) for x in (-0.13, 0.13)))
    grip = [slab((0.02, 0.02, 0.05), (x, 0, 0.355), 0.02) for x in (-0.05, 0.05)]
    handle = merge(slab((0.12, 0.025, 0.02), (0, 0, 0.385), 0.02), *grip)
    return Thing("suitcase", (
        Part(body, Material(_brushed("#7a4a28", 61))), Part(straps, Material(srgb("#3b2415"))),
        Part(handle, Material(srgb("#2a1a10"))),
    ))  # fmt: skip


def beach_ball() -> Thing:
    """Give a ball with coloured segments, 40 cm wide, lying on the floor."""
    colours = np.array([srgb(c) for c in ("#e3342f", "#f6f3ea", "#2f6fd0", "#f6f3ea", "#f2c21a", "#f6f3ea")])

    def panels(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.where((v > 0.93)[..., None], srgb("#f6f3ea"), colours[(u * 6).astype(int) % 6])

    ball = sphere(0.2, 48, 96).turned("x", 50).moved((0, 0, 0.2))
    return Thing("beach ball", (Part(ball, Material(painted(256, 512, panels))),))


def cardboard_box() -> Thing:
    """Give a closed cardboard box, 45 cm wide, with tape along its top."""
    box = slab((0.45, 0.38, 0.34), (0, 0, 0.17))
    tape = merge(slab((0.06, 0.384, 0.004), (0, 0, 0.341)), slab((0.06, 0.388, 0.1), (0, 0, 0.29)))
    return Thing("cardboard box", (Part(box, Material(_brushed("#b98d5a", 71))), Part(tape, Material(srgb("#d9c9a6")))))


def pillow() -> Thing:
    """Give a striped pillow, 38 cm wide, leaning back."""
    mesh = rounded_box((0.38, 0.12, 0.36), 0.058, 24)

    def stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.where(((u * 24) % 1 < 0.5)[..., None], srgb("#d6b13c"), srgb("#f4ecd8")) + 0 * v[..., None]

    return Thing("pillow", (Part(mesh.turned("x", -15).moved((0, 0, 0.19)), Material(painted(256, 512, stripes))),))
