"""The loop's room: furniture along four walls, and where everything stands on it; the camera walks in its middle."""

from __future__ import annotations

import numpy as np

from tabletop_objects import books, decor, desk, food, furniture, kitchen, toys
from tabletop_objects.geometry import rounded_box
from tabletop_objects.room import CEILING, FLOOR, art, wallpaper
from tabletop_objects.textures import wood
from tabletop_objects.things import Material, Part, Thing, srgb

HALF = 2.3
"""Half the room's width, metres."""
LAP = 0.01
"""How far floor and walls go through each other, so that no ray slips out between them, metres."""
BOOK = (0.17, 0.24, 0.04)
TABLE, DESK, BOARD, CASE = (1.52, 0.0, 0.0), (0.0, 1.55, 0.0), (-1.52, 0.0, 0.06), (0.0, -1.55, -0.22)
"""Middle of each top: the round table, the desk, the sideboard, the low bookcase."""


def things() -> list[Thing]:
    """Give everything with a name; instance ids are 1 + the place in this list."""
    red = books.book("red book", "#b3202c", "#f6e7c1", ("The Red", "Hills"), BOOK)
    blue = books.book("blue book", "#1f3f8f", "#f2f2f2", ("Deep", "Water"), BOOK)
    on_table = [
        (kitchen.teapot(), -0.30, -0.10, 120), (kitchen.mug("red mug", "#c21f2b"), -0.37, 0.14, 200),
        (toys.teddy_bear(), 0.02, 0.12, 180), (food.bananas(), -0.22, -0.34, 60), (food.orange(), -0.14, 0.32, 0),
        (food.apple("green apple", "#7fb32a", "#a9cc4a", 7), -0.06, -0.20, 40),
        (kitchen.wine_bottle(), 0.16, -0.22, 170), (food.pumpkin(), 0.14, 0.36, 0),
    ]  # fmt: skip
    on_desk = [
        (desk.globe(), -0.50, 0.02, 20), (desk.alarm_clock(), -0.24, -0.08, -90), (red, 0.02, -0.10, 80),
        (furniture.lamp(), 0.26, 0.10, 0), (kitchen.soda_can(), 0.34, -0.16, 200),
        (kitchen.mug("blue mug", "#2256b0"), 0.56, -0.12, 250),
    ]  # fmt: skip
    on_board = [
        (furniture.vase(), 0.02, 0.55, 0), (blue, 0.08, 0.34, 200), (decor.cactus(), 0.04, 0.15, 0),
        (furniture.bowl(), 0.08, -0.06, 0), (kitchen.candle(), -0.02, -0.27, 120), (toys.duck(), 0.12, -0.42, 20),
        (decor.gift_box(), 0.02, -0.60, 25),
    ]  # fmt: skip
    on_case = [
        (toys.sports_ball("basketball"), -0.50, 0.02, 50), (decor.traffic_cone(), -0.18, 0.08, 15),
        (furniture.suitcase(), 0.22, -0.04, 8), (toys.sports_ball("soccer ball"), 0.56, 0.06, 0),
    ]  # fmt: skip
    on_floor = [
        (furniture.chair(), 1.45, -1.45, 225),
        (furniture.pillow().moved((0, 0.07, 0.47)), 1.45, -1.45, 225),
        (furniture.bucket(), -1.40, -1.40, 0),
        (furniture.beach_ball(), 1.42, 1.36, 30),
        (furniture.cardboard_box(), -1.45, 1.45, 28),
    ]
    places = ((TABLE, on_table), (DESK, on_desk), (BOARD, on_board), (CASE, on_case), ((0.0, 0.0, FLOOR), on_floor))
    placed = [(top, *one) for top, all_there in places for one in all_there]
    return [thing.turned("z", heading).moved((x + a, y + b, z)) for (a, b, z), thing, x, y, heading in placed]


def furnished() -> list[Thing]:
    """Give room and furniture, which carry no name."""
    return [
        room(), furniture.round_table().moved(TABLE), furniture.desk().moved(DESK),
        furniture.sideboard().turned("z", 90).moved((BOARD[0], BOARD[1], 0.0)),
        furniture.bench().turned("z", 180).moved((CASE[0], CASE[1], 0.0)),
    ]  # fmt: skip


def room() -> Thing:
    """Give a parquet floor and four papered walls with two pictures each; light comes in where the ceiling would be.

    A black shell keeps the light off what sticks out behind the walls.
    """
    h = HALF + LAP
    floor = furniture.sheet([(-h, -h, FLOOR), (h, -h, FLOOR), (h, h, FLOOR), (-h, h, FLOOR)], 0.04)
    parquet = wood(1536, 1536, "#b98a5c", "#6e4526", 9, planks=26)
    paper = wallpaper()
    walls = [part.turned("z", 90 * k) for k in range(4) for part in _wall(k, paper)]
    shell = furniture.sheet([(h + LAP, h, FLOOR), (h + LAP, -h, FLOOR), (h + LAP, -h, CEILING), (h + LAP, h, CEILING)])
    shade = [Part(shell.turned("z", 90 * k), Material(srgb("#000000"))) for k in range(4)]
    return Thing("", (Part(floor, Material(parquet)), *walls, *shade))


def _wall(k: int, paper: np.ndarray) -> list[Part]:
    """Give the wall at x = HALF, its skirting board and its pictures, hung low enough to be seen."""
    h, front = HALF, HALF - 0.018
    wide, low = h + LAP, FLOOR - LAP
    face = furniture.sheet([(h, wide, low), (h, -wide, low), (h, -wide, CEILING), (h, wide, CEILING)], 0.05)
    board = furniture.slab((0.03, 2 * h, 0.12), (h - 0.012, 0, FLOOR + 0.06), 0.05)
    parts = [Part(face, Material(paper)), Part(board, Material(srgb("#f3f0e8")))]
    for y, seed in ((-0.62, 2 * k + 21), (0.62, 2 * k + 22)):
        frame = rounded_box((0.03, 0.80, 0.62), 0.004, 12).moved((h - 0.01, y, 0.42))
        corners = [(front - 0.01, y + a * 0.36, 0.42 + b * 0.27) for a, b in ((1, -1), (-1, -1), (-1, 1), (1, 1))]
        parts += [Part(frame, Material(srgb("#3a2a1e"))), Part(furniture.sheet(corners, 0.05), Material(art(seed)))]
    return parts
