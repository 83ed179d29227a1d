"""A gift box, a traffic cone and a cactus."""

from __future__ import annotations

import numpy as np

from tabletop_objects.geometry import TURN, Mesh, lathe, merge, rounded_box, smooth_profile, sphere, tube
from tabletop_objects.textures import mix, noise3, painted
from tabletop_objects.things import Material, Part, Thing, srgb


def gift_box() -> Thing:
    """Give a wrapped present, 12 cm wide, with ribbon and bow."""

    def dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        x, y = u * 18, v * 12
        row = np.floor(y)
        spot = np.hypot((x + 0.5 * (row % 2)) % 1 - 0.5, y % 1 - 0.5) < 0.23
        return np.where(spot[..., None], np.array(srgb("#ffffff")), np.array(srgb("#2f9e8f")))

    side, high = 0.120, 0.085
    paper = Material(painted(512, 768, dots), 0.35, clearcoat=0.3)
    box = rounded_box((side, side, high), 0.0015, 8).moved((0, 0, high / 2))
    lid = rounded_box((side + 0.006, side + 0.006, 0.022), 0.0015, 8).moved((0, 0, high))
    red = Material(srgb("#d0142c"), 0.3, clearcoat=0.4)
    bands = []
    for a, b in (((side + 0.0015, 0.022), (side + 0.0075, 0.022)), ((0.022, side + 0.0015), (0.022, side + 0.0075))):
        bands.append(rounded_box((*a, high - 0.004), 0.0008, 6).moved((0, 0, high / 2)))
        bands.append(rounded_box((*b, 0.0235), 0.0008, 6).moved((0, 0, high)))
    top = high + 0.011
    loops = [_loop(angle, 0.042, 0.034) for angle in (45, 135, 225, 315)] + [
        _loop(angle, 0.028, 0.036) for angle in (0, 90, 180, 270)
    ]
    knot = sphere(0.011, 24, 48).scaled((1, 1, 0.8)).moved((0, 0, 0.008))
    bow = merge(*loops, knot).moved((0, 0, top))
    return Thing("gift box", (Part(merge(box, lid), paper), Part(merge(*bands, bow), red)))


def _loop(degrees: float, reach: float, height: float) -> Mesh:
    """Give one ribbon loop of a bow: a flat band that leaves the knot and returns to it."""
    t = np.linspace(0, 1, 40)
    x = reach * np.sin(np.pi * t) ** 0.9
    z = 0.004 + height * (0.5 - 0.5 * np.cos(np.pi * t)) * np.sin(np.pi * t) ** 0.5
    body = tube(np.stack([x + 0.001, 0 * t, z], 1), 0.010, 16, squash=0.08)
    return body.turned("z", degrees)


def traffic_cone() -> Thing:
    """Give an orange traffic cone, 19 cm high, with two white bands and a square foot."""

    def bands(_u: np.ndarray, v: np.ndarray) -> np.ndarray:
        white = ((v > 0.30) & (v < 0.48)) | ((v > 0.64) & (v < 0.80))
        return np.where(white[..., None], np.array(srgb("#f6f6f2")), np.array(srgb("#ff5a12")))

    cone = lathe([(0, 0.010), (0.047, 0.010), (0.046, 0.014)], 96)
    body = lathe([(0.046, 0.012), (0.0105, 0.186), (0.009, 0.189), (0.006, 0.189), (0.006, 0.17)], 96)
    rubber = srgb("#ff5a12")
    foot = rounded_box((0.118, 0.118, 0.013), 0.004, 10).moved((0, 0, 0.0065))
    return Thing(
        "traffic cone",
        (
            Part(body, Material(painted(512, 4, bands), 0.45)),
            Part(merge(cone, foot), Material(rubber, 0.5)),
        ),
    )


def _ribbed(path: np.ndarray, radius: np.ndarray, ribs: int) -> Mesh:
    body = tube(path, radius, ribs * 12)
    t = np.linspace(0, 1, len(path))
    middle = np.stack([np.interp(body.uv[:, 1], t, path[:, i]) for i in range(3)], 1)
    wave = 0.5 + 0.5 * np.cos(ribs * TURN * body.uv[:, 0])
    vertices = middle + (body.vertices - middle) * (0.86 + 0.17 * wave[:, None])
    colour = mix(srgb("#2f5f2a"), srgb("#6fa84f"), wave + 0.25 * noise3(vertices, 90, 3))
    return Mesh(vertices, body.faces, None, colour)


def cactus() -> Thing:
    """Give a saguaro-like cactus with two arms in a terracotta pot, 26 cm high."""
    t = np.linspace(0, 1, 60)
    dome = np.sqrt(np.clip(1 - ((t - 0.84) / 0.16).clip(0) ** 2, 0.0004, 1))
    trunk = _ribbed(np.stack([0 * t, 0 * t, 0.07 + 0.19 * t], 1), 0.029 * dome, 12)
    arms = [trunk]
    for side, low, high in ((1, 0.130, 0.215), (-1, 0.150, 0.232)):
        path = smooth_profile(
            [
                (0, side * 0.015, low),
                (0, side * 0.042, low + 0.006),
                (0, side * 0.056, low + 0.028),
                (0, side * 0.057, high),
            ]
        )
        s = np.linspace(0, 1, len(path))
        arms.append(_ribbed(path, 0.0155 * np.sqrt(np.clip(1 - ((s - 0.85) / 0.15).clip(0) ** 2, 0.0004, 1)), 9))
    green = merge(*arms)
    rng = np.random.default_rng(8)
    ridge = green.colour[:, 1] > 0.60
    spots = rng.permutation(np.flatnonzero(ridge))[:420]
    axis = np.array([0, 0, 1.0])
    normal = _vertex_normals(green)
    spines = merge(
        *(
            tube(
                green.vertices[i]
                + np.outer([0, 0.5, 1], 0.008 * normal[i] + 0.003 * rng.normal(size=3) + 0.001 * axis),
                np.array([5, 4, 1.5]) * 1e-4,
                4,
            )
            for i in spots
        )
    )
    pot = lathe(
        [
            (0, 0),
            (0.036, 0),
            (0.037, 0.002),
            (0.047, 0.066),
            (0.053, 0.066),
            (0.054, 0.084),
            (0.049, 0.084),
            (0.047, 0.074),
            (0, 0.074),
        ],
        96,
    )
    soil = lathe([(0, 0.0735), (0.0472, 0.0735), (0.0472, 0.0765), (0, 0.078)], 64)
    return Thing(
        "cactus",
        (
            Part(green, Material(roughness=0.6)),
            Part(spines, Material(srgb("#f3ead0"), 0.7)),
            Part(pot, Material(srgb("#bb5f38"), 0.85)),
            Part(soil, Material(srgb("#4a3423"), 1.0)),
        ),
    )


def _vertex_normals(mesh: Mesh) -> np.ndarray:
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    n = np.cross(b - a, c - a)
    out = np.zeros_like(mesh.vertices)
    for i in range(3):
        np.add.at(out, mesh.faces[:, i], n)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-15)
