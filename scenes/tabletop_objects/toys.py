"""A rubber duck, a teddy bear, balls, dice, a puzzle cube and a toy car."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tabletop_objects.fields import ball, blend, capsule, surface
from tabletop_objects.geometry import Mesh, lathe, merge, rounded_box, sphere
from tabletop_objects.kitchen import bead
from tabletop_objects.textures import atlas, basketball, die_face, football, mix, noise3, sticker_face, tennis_ball
from tabletop_objects.things import Material, Part, Thing, srgb


def duck() -> Thing:
    """Give a yellow bath duck, 13 cm long, looking along +x."""
    body = blend(
        0.016,
        ball((0, 0, 0.034), (0.056, 0.042, 0.034)),
        ball((-0.050, 0, 0.058), (0.022, 0.017, 0.012)),
        ball((0.026, 0, 0.062), (0.026, 0.026, 0.026)),
    )
    whole = blend(0.007, body, ball((0.030, 0, 0.094), 0.031))
    wings = [ball((-0.010, s * 0.040, 0.044), (0.030, 0.009, 0.017)) for s in (1, -1)]
    skin = surface(blend(0.006, whole, *wings), (-0.09, -0.07, -0.01), (0.09, 0.07, 0.14), 0.0022)
    skin = replace(skin, vertices=np.maximum(skin.vertices, [-9, -9, 0.0]))
    upper = ball((0.064, 0, 0.091), (0.020, 0.016, 0.0055))
    lower = ball((0.060, 0, 0.084), (0.015, 0.013, 0.0045))
    beak = surface(blend(0.002, upper, lower), (0.03, -0.03, 0.07), (0.1, 0.03, 0.11), 0.0011)
    eyes = [(0.0515, s * 0.0165, 0.106) for s in (1, -1)]
    shine = [(0.0582, s * 0.0188, 0.1085) for s in (1, -1)]
    return Thing(
        "rubber duck",
        (
            Part(skin, Material(srgb("#f9cf1c"), 0.3, clearcoat=0.4)),
            Part(beak, Material(srgb("#f0731a"), 0.35, clearcoat=0.3)),
            Part(merge(*(bead(e, 0.0068) for e in eyes)), Material(srgb("#141414"), 0.15, clearcoat=1.0)),
            Part(merge(*(bead(e, 0.0016) for e in shine)), Material(srgb("#ffffff"), 0.3)),
        ),
    )


def _bear_fields() -> list:
    limbs = []
    for s in (1, -1):
        limbs += [
            capsule((0.010, s * 0.044, 0.088), (0.036, s * 0.066, 0.046), 0.0195),
            capsule((0.022, s * 0.032, 0.026), (0.078, s * 0.046, 0.026), 0.0255),
            ball((-0.004, s * 0.040, 0.190), (0.013, 0.021, 0.021)),
        ]
    return [ball((0, 0, 0.060), (0.048, 0.052, 0.060)), ball((0.006, 0, 0.146), (0.045, 0.050, 0.045)), *limbs]


def teddy_bear() -> Thing:
    """Give a sitting teddy bear, 21 cm high, looking along +x."""
    fur = surface(blend(0.006, *_bear_fields()), (-0.07, -0.11, -0.01), (0.13, 0.11, 0.23), 0.0024)
    p = fur.vertices
    p = p + 0.0022 * np.stack([noise3(p, 330, k) for k in range(3)], 1)
    p[:, 2] = np.maximum(p[:, 2], 0.0)
    colour = mix(srgb("#9c6430"), srgb("#7a4a20"), 0.5 + 0.8 * noise3(p, 260, 4))
    snout = surface(ball((0.044, 0, 0.134), (0.022, 0.025, 0.019)), (0.0, -0.05, 0.09), (0.09, 0.05, 0.18), 0.0022)
    pads = [sphere(1.0, 24, 48).scaled((0.004, 0.016, 0.018)).moved((0.1025, s * 0.0485, 0.027)) for s in (1, -1)]
    inner = [sphere(1.0, 24, 48).scaled((0.004, 0.013, 0.013)).moved((0.0075, s * 0.041, 0.190)) for s in (1, -1)]
    belly = sphere(1.0, 32, 64).scaled((0.010, 0.031, 0.036)).moved((0.0405, 0, 0.062))
    pale = merge(replace(snout, uv=None), *(replace(m, uv=None) for m in (*pads, *inner, belly)))
    tan = mix(srgb("#dcb887"), srgb("#c79a63"), 0.5 + 0.8 * noise3(pale.vertices, 260, 5))
    black = [bead((0.0475, s * 0.0185, 0.158), 0.0058) for s in (1, -1)]
    nose = sphere(1.0, 24, 48).scaled((0.006, 0.010, 0.0075)).moved((0.0645, 0, 0.1405))
    return Thing(
        "teddy bear",
        (
            Part(Mesh(p, fur.faces, None, colour), Material(roughness=0.95)),
            Part(replace(pale, colour=tan), Material(roughness=0.95)),
            Part(merge(*black, nose), Material(srgb("#15110f"), 0.15, clearcoat=1.0)),
        ),
    )


def sports_ball(kind: str) -> Thing:
    """Give a ball resting on the table: "soccer ball" 17 cm, "basketball" 18 cm, "tennis ball" 7 cm wide."""
    radius, texture, material = {
        "soccer ball": (0.085, football, Material(roughness=0.35, clearcoat=0.3)),
        "basketball": (0.090, basketball, Material(roughness=0.6)),
        "tennis ball": (0.035, tennis_ball, Material(roughness=0.95)),
    }[kind]
    mesh = sphere(radius, 72, 144).turned("x", 28).turned("y", 17).moved((0, 0, radius))
    return Thing(kind, (Part(mesh, replace(material, colour=texture())),))


def die(name: str, ground: str, ink: str) -> Thing:
    """Give a big die, 4.6 cm wide; opposite faces add up to seven."""
    side = 0.046
    faces = atlas([die_face(n, ground, ink) for n in (3, 4, 2, 5, 6, 1)])
    mesh = rounded_box((side, side, side), 0.006, 20).moved((0, 0, side / 2))
    return Thing(name, (Part(mesh, Material(faces, 0.25, clearcoat=0.6)),))


def puzzle_cube() -> Thing:
    """Give a scrambled puzzle cube of 3 x 3 x 3 stones, 6.4 cm wide."""
    rng = np.random.default_rng(5)
    colours = ["#f5f5f0", "#ffd500", "#c41e2a", "#ff6a13", "#0a8f3c", "#1357b8"]
    pool = rng.permutation(np.repeat(colours, 9))
    cells = [sticker_face([str(c) for c in pool[9 * k : 9 * k + 9]]) for k in range(6)]
    mesh = rounded_box((0.064, 0.064, 0.064), 0.0035, 12).moved((0, 0, 0.032))
    return Thing("rubik's cube", (Part(mesh, Material(atlas(cells), 0.3, clearcoat=0.3)),))


def _slab(outline: list[tuple[float, float]], width: float, bevel: float = 0.004) -> Mesh:
    """Extrude a convex-ish side outline (x, z) to +-width/2 along y, with bevelled rims."""
    o = np.asarray(outline, float)
    centre = o.mean(0)
    small = centre + (o - centre) * (1 - bevel / np.abs(o - centre).max())
    rows = [(small, -width / 2), (o, -width / 2 + bevel), (o, width / 2 - bevel), (small, width / 2)]
    rings = np.stack([np.stack([r[:, 0], np.full(len(r), y), r[:, 1]], 1) for r, y in rows])
    n = len(o)
    vertices = np.concatenate(
        [rings.reshape(-1, 3), [[centre[0], -width / 2, centre[1]], [centre[0], width / 2, centre[1]]]]
    )
    faces = []
    for i in range(n):
        j = (i + 1) % n
        for k in range(3):
            a, b, c, d = k * n + i, k * n + j, (k + 1) * n + j, (k + 1) * n + i
            faces += [(a, c, b), (a, d, c)]
        faces += [(4 * n, i, j), (4 * n + 1, 3 * n + j, 3 * n + i)]
    return Mesh(vertices, np.asarray(faces))


def _wheel(x: float, y: float) -> tuple[Mesh, Mesh]:
    tyre = lathe([(0, -0.008), (0.013, -0.008), (0.0165, -0.006), (0.0165, 0.006), (0.013, 0.008), (0, 0.008)], 40)
    hub = lathe([(0, -0.0088), (0.008, -0.0088), (0.0095, -0.007), (0.0095, 0.007), (0.008, 0.0088), (0, 0.0088)], 40)
    return tuple(m.turned("x", 90).moved((x, y, 0.0165)) for m in (tyre, hub))  # type: ignore[return-value]


def toy_car() -> Thing:
    """Give a small blue toy car, 14 cm long, driving along +x."""
    low = [
        (-0.070, 0.014),
        (0.070, 0.014),
        (0.073, 0.022),
        (0.071, 0.034),
        (0.056, 0.040),
        (0.030, 0.043),
        (-0.050, 0.043),
        (-0.071, 0.039),
        (-0.073, 0.024),
    ]
    cabin = [(-0.056, 0.041), (0.034, 0.041), (0.014, 0.066), (0.004, 0.069), (-0.034, 0.069), (-0.044, 0.066)]
    glass = [(-0.050, 0.043), (0.0265, 0.043), (0.0105, 0.063), (-0.040, 0.063)]
    pane = merge(
        _slab([(x + 0.0, z) for x, z in glass], 0.0585, 0.001),
        _slab([(-0.0545, 0.044), (0.0335, 0.044), (0.0155, 0.0635), (-0.0445, 0.0635)], 0.046, 0.001),
    )
    post = _slab([(-0.013, 0.042), (-0.007, 0.042), (-0.007, 0.066), (-0.013, 0.066)], 0.0592, 0.0005)
    wheels = [_wheel(x, y) for x in (-0.044, 0.044) for y in (-0.029, 0.029)]
    lamps = [bead((0.070, s * 0.021, 0.030), 0.0058) for s in (1, -1)]
    bumpers = [rounded_box((0.006, 0.058, 0.007), 0.0025, 8).moved((s * 0.0735, 0, 0.018)) for s in (1, -1)]
    paint = Material(srgb("#2aa0c8"), 0.25, clearcoat=1.0, flat=True)
    return Thing(
        "toy car",
        (
            Part(merge(_slab(low, 0.062), _slab(cabin, 0.058), post), paint),
            Part(pane, Material(srgb("#17222c"), 0.1, clearcoat=1.0, flat=True)),
            Part(merge(*(w[0] for w in wheels)), Material(srgb("#1b1b1d"), 0.8)),
            Part(merge(*(w[1] for w in wheels), *bumpers), Material(srgb("#c8ccd2"), 0.25, metallic=0.9)),
            Part(merge(*lamps), Material(srgb("#fff6d0"), 0.1, clearcoat=1.0)),
        ),
    )
