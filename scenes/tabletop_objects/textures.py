"""Pictures on surfaces, all drawn here: noise, wood, balls, faces of clocks and dice, covers, labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tabletop_objects.things import Colour, srgb


def noise3(p: np.ndarray, frequency: float, seed: int = 0) -> np.ndarray:
    """Give smooth value noise in -1..1 at points [..., 3], with `frequency` cells to the metre."""
    table = np.random.default_rng(seed).uniform(-1, 1, (32, 32, 32))
    q = p * frequency
    i = np.floor(q).astype(int)
    t = q - i
    t = t * t * (3 - 2 * t)
    out = np.zeros(p.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        w = np.prod(np.where(np.asarray(corner) == 1, t, 1 - t), axis=-1)
        j = (i + np.asarray(corner)) % 32
        out += w * table[j[..., 0], j[..., 1], j[..., 2]]
    return out


def mix(a: Colour | np.ndarray, b: Colour | np.ndarray, t: np.ndarray) -> np.ndarray:
    """Blend colours by weights t [...] clipped to 0..1; gives [..., 3]."""
    t = np.clip(t, 0.0, 1.0)[..., None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def to_bytes(colour: np.ndarray) -> np.ndarray:
    """Give a texture as uint8 sRGB."""
    return (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)


def wood(height: int, width: int, light: str, dark: str, seed: int, planks: int = 1) -> np.ndarray:
    """Draw wood grain running along the width, in `planks` boards of slightly different tone."""
    rng = np.random.default_rng(seed)
    v, u = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    board = np.minimum((v * planks).astype(int), planks - 1)
    shift = rng.uniform(0, 50, planks)[board]
    slow = noise3(np.stack([u * 1.2 + shift, v * 5.0 + shift, shift], -1), 1.5, seed)
    fine = noise3(np.stack([u * 3 + shift, v * 160, shift], -1), 1.0, seed + 1)
    rings = 0.5 + 0.5 * np.sin((v * 38 + slow * 5.0 + shift) * 2.0)
    tone = 0.55 * rings + 0.25 * fine + 0.2 * slow + rng.uniform(-0.25, 0.25, planks)[board]
    colour = mix(srgb(light), srgb(dark), 0.15 + 0.6 * tone)
    if planks > 1:
        gap = np.abs(v * planks - np.round(v * planks)) < 0.012
        colour = np.where((gap & (v > 0.01) & (v < 0.99))[..., None], colour * 0.45, colour)
    return to_bytes(colour)


def directions(height: int) -> np.ndarray:
    """Give unit directions [height, 2 height, 3] of a longitude-latitude texture, matching `geometry.sphere`."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = (np.arange(2 * height) + 0.5) / (2 * height) * 2 * np.pi
    la, lo = np.meshgrid(latitude, longitude, indexing="ij")
    return np.stack([np.cos(la) * np.cos(lo), np.cos(la) * np.sin(lo), np.sin(la)], -1)


def football(height: int = 512) -> np.ndarray:
    """Draw the classic ball of 12 black pentagons and 20 white hexagons."""
    g = (1 + 5**0.5) / 2
    five = np.array([(0, s, t * g) for s in (1, -1) for t in (1, -1)], float)
    five = np.concatenate([np.roll(five, k, axis=1) for k in range(3)])
    five /= np.linalg.norm(five, axis=1, keepdims=True)
    triples = [(i, j, k) for i in range(12) for j in range(i) for k in range(j)]
    near = [five[list(t)] for t in triples if min(five[t[a]] @ five[t[b]] for a, b in ((0, 1), (0, 2), (1, 2))) > 0.4]
    six = np.array([n.sum(0) / np.linalg.norm(n.sum(0)) for n in near])
    d = directions(height)
    # Weighted cells: the pentagon's plane lies further out than the hexagon's in a truncated icosahedron.
    score = np.concatenate([d @ five.T / 0.9393, d @ six.T / 0.9149], -1)
    top = np.sort(score, axis=-1)
    colour = np.where((score.argmax(-1) < 12)[..., None], np.array(srgb("#16171a")), np.array(srgb("#f2f1ec")))
    seam = (top[..., -1] - top[..., -2]) < 0.016
    return to_bytes(np.where(seam[..., None], np.array(srgb("#55585c")), colour))


def basketball(height: int = 512) -> np.ndarray:
    """Draw an orange ball with the usual eight panels."""
    d = directions(height)
    x, y, z = d[..., 0], d[..., 1], d[..., 2]
    bow = np.abs(np.abs(y) - 0.52 - 0.22 * z**2 * 0 - 0.18 * x**2)
    lines = np.minimum(np.minimum(np.abs(x), np.abs(z)), bow)
    base = mix(srgb("#c8601f"), srgb("#a84a14"), 0.5 + 0.5 * noise3(d, 40.0, 3))
    return to_bytes(mix(srgb("#15110f"), base, (lines - 0.018) / 0.01))


def tennis_ball(height: int = 512) -> np.ndarray:
    """Draw a yellow felt ball with the white curved seam."""
    d = directions(height)
    t = np.linspace(0, 2 * np.pi, 1200)
    a, b = 0.75, 0.25
    curve = np.stack([a * np.cos(t) + b * np.cos(3 * t), a * np.sin(t) - b * np.sin(3 * t)], -1)
    third = 2 * np.sqrt(a * b) * np.sin(2 * t)
    curve = np.concatenate([curve, third[:, None]], -1)
    curve /= np.linalg.norm(curve, axis=1, keepdims=True)
    cosine = np.max([(d @ part.T).max(-1) for part in np.array_split(curve, 12)], axis=0)
    felt = mix(srgb("#cfe03a"), srgb("#aabf22"), 0.5 + 0.5 * noise3(d, 60.0, 5))
    return to_bytes(mix(srgb("#f4f6ea"), felt, (np.arccos(np.clip(cosine, -1, 1)) - 0.065) / 0.02))


def lettering(draw: ImageDraw.ImageDraw, text: str, at: tuple[float, float], size: float, fill: str) -> None:
    """Write text centred at a point, with the font that Pillow carries (no system fonts are needed)."""
    draw.text(at, text, font=ImageFont.load_default(size), fill=fill, anchor="mm")


def canvas(width: int, height: int, colour: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Give a picture of one colour and its pen."""
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def atlas(cells: list[Image.Image], side: int = 256) -> np.ndarray:
    """Lay six pictures (+x, -x, +y, -y, +z, -z) out in the 3 x 2 atlas of `geometry.cube_sphere`."""
    sheet = Image.new("RGB", (3 * side, 2 * side))
    for k, cell in enumerate(cells):
        sheet.paste(cell.resize((side, side), Image.Resampling.LANCZOS), (k % 3 * side, (1 - k // 3) * side))
    return np.asarray(sheet)


def die_face(pips: int, ground: str, ink: str) -> Image.Image:
    """Draw one face of a die."""
    image, draw = canvas(256, 256, ground)
    low, mid, high = 62, 128, 194
    spots = {
        1: [(mid, mid)], 2: [(low, low), (high, high)], 3: [(low, low), (mid, mid), (high, high)],
        4: [(low, low), (high, high), (low, high), (high, low)],
        5: [(low, low), (high, high), (low, high), (high, low), (mid, mid)],
        6: [(low, low), (low, mid), (low, high), (high, low), (high, mid), (high, high)],
    }  # fmt: skip
    for x, y in spots[pips]:
        draw.ellipse((x - 26, y - 26, x + 26, y + 26), fill=ink)
    return image


def sticker_face(colours: list[str]) -> Image.Image:
    """Draw nine rounded stickers on black."""
    image, draw = canvas(256, 256, "#111111")
    for k, colour in enumerate(colours):
        x, y = 8 + k % 3 * 81, 8 + k // 3 * 81
        draw.rounded_rectangle((x + 3, y + 3, x + 75, y + 75), 12, fill=colour)
    return image


def clock_face(side: int = 512) -> np.ndarray:
    """Draw an alarm clock's face at ten past ten."""
    image, draw = canvas(side, side, "#fbf9f0")
    c = side / 2
    for k in range(60):
        a, big = np.radians(k * 6), k % 5 == 0
        inner = 0.84 if big else 0.89
        line = [
            c + inner * c * np.sin(a),
            c - inner * c * np.cos(a),
            c + 0.94 * c * np.sin(a),
            c - 0.94 * c * np.cos(a),
        ]
        draw.line(line, fill="#181818", width=9 if big else 3)
    for k in range(1, 13):
        a = np.radians(30 * k)
        lettering(draw, str(k), (c + 0.68 * c * np.sin(a), c - 0.68 * c * np.cos(a)), 62, "#151515")
    for turns, length, width in ((10.15 / 12, 0.42, 20), (9 / 60, 0.62, 13)):
        a = 2 * np.pi * turns
        draw.line([c, c, c + length * c * np.sin(a), c - length * c * np.cos(a)], fill="#101010", width=width)
    draw.line([c, c, c, c + 0.5 * c], fill="#c22", width=4)
    draw.ellipse((c - 18, c - 18, c + 18, c + 18), fill="#101010")
    return np.asarray(image)


def painted(height: int, width: int, colour_at: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Draw a texture from a function of u, v [H, W] (v up) that gives sRGB [H, W, 3]."""
    v, u = np.meshgrid((np.arange(height)[::-1] + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    return to_bytes(colour_at(u, v))
