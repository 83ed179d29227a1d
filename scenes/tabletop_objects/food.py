"""Fruit, a pumpkin and a doughnut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tabletop_objects.geometry import TURN, Mesh, grid_faces, lathe, merge, smooth_profile, sphere, tube
from tabletop_objects.textures import mix, noise3
from tabletop_objects.things import Material, Part, Thing, srgb

WAXY = Material(roughness=0.32, clearcoat=0.35)


def stem(foot: tuple[float, float, float], height: float, radius: float, lean: float = 0.3) -> Mesh:
    """Give a woody stalk that leans and widens at the top."""
    t = np.linspace(0, 1, 12)[:, None]
    path = np.asarray(foot) + np.concatenate([lean * height * t**2, 0.1 * height * t, height * t], 1)
    return tube(path, radius * (0.8 + 0.5 * t[:, 0] ** 3), 10)


def leaf(length: float, width: float) -> Mesh:
    """Give a thin closed leaf along +x, bent down at its tip."""
    t = np.linspace(0, 1, 14)
    path = np.stack([length * t, 0 * t, 0.25 * length * np.sin(t * 2.6)], 1)
    body = tube(path, width / 2 * np.sin(np.pi * np.clip(t, 0.03, 0.97)) ** 0.8, 16)
    flat = body.vertices.copy()
    flat[:, 2] = np.interp(flat[:, 0], path[:, 0], path[:, 2]) + 0.06 * (
        flat[:, 2] - np.interp(flat[:, 0], path[:, 0], path[:, 2])
    )
    return replace(body, vertices=flat)


def apple(name: str, skin: str, blush: str, seed: int) -> Thing:
    """Give an apple, 9 cm wide, with dimple, stalk and leaf."""
    points = [(0, 9), (9, 4), (20, 1), (34, 13), (43, 36), (44, 52), (38, 68), (26, 77), (15, 77), (7, 71), (0, 60)]
    body = lathe(smooth_profile([(r / 1000, z / 1000) for r, z in points], 110), 120)
    p = body.vertices
    angle = np.arctan2(p[:, 1], p[:, 0])
    lobes = 1 + 0.018 * np.cos(5 * angle) * (1.2 - p[:, 2] / 0.04).clip(-0.6, 1)
    p = p * np.stack([lobes, lobes, np.ones_like(lobes)], 1)
    streak = noise3(np.stack([np.cos(angle) * 14, np.sin(angle) * 14, p[:, 2] * 12], 1), 1.0, seed)
    patch = noise3(p, 28, seed + 1)
    hollow = np.exp(-((np.hypot(p[:, 0], p[:, 1]) / 0.013) ** 2)) * (p[:, 2] > 0.04)
    colour = mix(srgb(skin), srgb(blush), 0.28 + 0.3 * streak + 0.45 * patch)
    colour = mix(colour, srgb("#a9903c"), 0.9 * hollow)
    bits = (Part(stem((0, 0, 0.058), 0.034, 0.0019), Material(srgb("#5b4026"), 0.8)),)
    green = leaf(0.036, 0.019).turned("y", -14).turned("z", 40).moved((0.003, 0.001, 0.078))
    bits += (Part(green, Material(srgb("#4d8a2b"), 0.5)),)
    return Thing(name, (Part(replace(body, vertices=p, colour=colour, uv=None), WAXY), *bits))


def _one_banana(bend: float) -> Mesh:
    t = np.linspace(0, 1, 70)
    a = (t - 0.5) * bend
    path = np.stack([0.095 * np.sin(a) / np.sin(bend / 2), np.zeros_like(t), 0.1 * (1 - np.cos(a))], 1)
    radius = np.interp(
        t, [0, 0.02, 0.08, 0.2, 0.5, 0.75, 0.86, 0.92, 1], np.array([2.5, 4.5, 8.5, 15, 17.5, 15, 9, 5.2, 4.6]) / 1000
    )
    radius = np.convolve(np.pad(radius, 3, mode="edge"), np.ones(7) / 7, "valid")
    body = tube(path, radius, 40)
    around, along = body.uv[:, 0] * TURN, body.uv[:, 1]
    axis = np.stack([np.interp(along, t, path[:, i]) for i in range(3)], 1)
    ridge = 1 + 0.05 * np.cos(5 * around)
    spots = noise3(body.vertices, 160, 4) * 0.5 + noise3(body.vertices, 60, 5)
    colour = mix(srgb("#f6d02f"), srgb("#8a5a1e"), (spots - 0.62) * 2.2)
    colour = mix(colour, srgb("#b9bd3a"), (along - 0.80) / 0.16)
    colour = mix(colour, srgb("#3b2a18"), np.maximum((0.03 - along) / 0.02, (along - 0.985) / 0.01))
    return Mesh(axis + (body.vertices - axis) * ridge[:, None], body.faces, None, colour)


def bananas() -> Thing:
    """Give two bananas of a hand, 19 cm long, lying on their sides."""
    flat = _one_banana(1.75).turned("x", 80)
    other = _one_banana(1.6).turned("x", 62).turned("z", 9).moved((0.0, 0.034, 0.006))
    low = min(m.vertices[:, 2].min() for m in (flat, other))
    both = merge(flat.moved((0, 0, -low)), other.moved((0, 0, -low)))
    return Thing("banana", (Part(both, Material(roughness=0.42, clearcoat=0.1)),))


def orange() -> Thing:
    """Give an orange, 8.4 cm wide, with pores and the green star of its stalk."""
    ball = sphere(0.042, 220, 440)
    p = ball.vertices
    pores = np.minimum(noise3(p, 620, 7), 0.25)
    p = p * (1 + 0.011 * pores + 0.006 * noise3(p, 40, 8))[:, None] * np.array([1, 1, 0.94])
    tone = mix(srgb("#f08a12"), srgb("#f5a623"), 0.5 + 0.6 * noise3(p, 45, 9))
    tone = mix(tone, srgb("#c9c25a"), 1.6 - np.hypot(p[:, 0], p[:, 1]) / 0.004 - (p[:, 2] < 0) * 9)
    button = sphere(0.0038, 12, 24).scaled((1, 1, 0.5)).moved((0, 0, 0.0392 + 0.0394))
    skin = Mesh(p + np.array([0, 0, 0.0394]), ball.faces, None, tone)
    return Thing(
        "orange",
        (
            Part(skin, Material(roughness=0.38, clearcoat=0.2)),
            Part(button, Material(srgb("#5d7a2c"), 0.8)),
        ),
    )


def pumpkin() -> Thing:
    """Give a ribbed pumpkin, 15 cm wide, with a curved stalk."""
    points = [(0, 10), (15, 3), (36, 1), (62, 20), (72, 48), (64, 80), (42, 97), (20, 96), (8, 90), (0, 86)]
    body = lathe(smooth_profile([(r / 1000, z / 1000) for r, z in points], 100), 240)
    p = body.vertices
    angle = np.arctan2(p[:, 1], p[:, 0])
    groove = np.abs(np.sin(angle * 5)) ** 0.7
    reach = np.clip(np.hypot(p[:, 0], p[:, 1]) / 0.05, 0, 1)
    p = p * (1 - 0.15 * reach[:, None] * (1 - groove[:, None]) * np.array([1, 1, 0.4]))
    tone = mix(srgb("#b5480b"), srgb("#ee7f1b"), 0.25 + 0.7 * groove + 0.18 * noise3(p, 60, 11))
    t = np.linspace(0, 1, 24)[:, None]
    path = np.concatenate([0.024 * t**2, 0.006 * t, 0.080 + 0.046 * t], 1)
    stalk = tube(path, np.interp(t[:, 0], [0, 0.15, 0.5, 1], [0.017, 0.011, 0.0075, 0.0095]), 30)
    q = stalk.vertices
    middle = np.stack([np.interp(stalk.uv[:, 1], t[:, 0], path[:, i]) for i in range(3)], 1)
    ribbed = middle + (q - middle) * (1 + 0.16 * np.cos(6 * TURN * stalk.uv[:, :1]))
    return Thing(
        "pumpkin",
        (
            Part(Mesh(p, body.faces, None, tone), Material(roughness=0.45, clearcoat=0.15)),
            Part(replace(stalk, vertices=ribbed), Material(srgb("#6d7a3a"), 0.8)),
        ),
    )


def torus(big: float, small: np.ndarray, rows: int, columns: int) -> Mesh:
    """Give a ring about +z; `small` [columns + 1, rows + 1] is the tube's radius, by place round the ring and tube."""
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1), indexing="ij")
    a, b = u * TURN, v * TURN
    out = big + small * np.cos(b)
    p = np.stack([out * np.cos(a), out * np.sin(a), small * np.sin(b)], -1)
    p[-1], p[:, -1] = p[0], p[:, 0]
    uv = np.stack([u.ravel(), v.ravel()], 1)
    return Mesh(p.reshape(-1, 3), grid_faces(columns + 1, rows + 1)[:, ::-1], uv)


def doughnut() -> Thing:
    """Give a doughnut, 12 cm wide, with pink icing that runs down a little, and sprinkles."""
    big, small, rng = 0.037, 0.0225, np.random.default_rng(21)
    u, v = np.meshgrid(np.linspace(0, TURN, 193), np.linspace(0, TURN, 97), indexing="ij")
    edge = 0.12 * np.sin(5 * u + 1) + 0.09 * np.sin(9 * u) + 0.05 * np.sin(14 * u + 2)
    cover = np.clip((np.sin(v) - 0.02 + edge * (np.cos(v) > -0.4)) / 0.16, -1, 1)
    dough = torus(big, np.full_like(u, small), 96, 192)
    icing = torus(big, small - 0.0012 + 0.0036 * np.clip(cover * 1.6, 0, 1) ** 0.5, 96, 192)
    shade = mix(srgb("#d39a55"), srgb("#b87a38"), 0.5 + 0.7 * noise3(dough.vertices, 70, 12))
    shade = mix(shade, srgb("#ecc98f"), 1 - np.abs(dough.vertices[:, 2]) / 0.006)
    lift = (0, 0, small)
    parts = [
        Part(Mesh(dough.vertices, dough.faces, None, shade).moved(lift), Material(roughness=0.7)),
        Part(icing.moved(lift), Material(srgb("#f07fb0"), 0.25, clearcoat=0.6)),
    ]
    for colour in ("#ffffff", "#ffd93b", "#41b6e6", "#7ac943", "#e8402a", "#7b4fc9"):
        parts.append(
            Part(merge(*(_sprinkle(rng, big, small) for _ in range(24))).moved(lift), Material(srgb(colour), 0.3))
        )
    return Thing("donut", tuple(parts))


def _sprinkle(rng: np.random.Generator, big: float, small: float) -> Mesh:
    a, b = rng.uniform(0, TURN), rng.uniform(0.28, np.pi - 0.28)
    rod = tube(
        np.array([[-0.0042, 0, 0], [-0.0036, 0, 0], [0.0036, 0, 0], [0.0042, 0, 0]]),
        np.array([0.0009, 0.0014, 0.0014, 0.0009]),
        8,
    )
    rod = rod.turned("z", rng.uniform(0, 180)).moved((0, 0, small + 0.0024))
    return rod.turned("y", 90 - np.degrees(b)).moved((big, 0, 0)).turned("z", np.degrees(a))
