"""Where everything stands: place (metres from the table's centre), heading (degrees about +z)."""

from __future__ import annotations

from tabletop_objects import books, decor, desk, food, kitchen, toys
from tabletop_objects.things import Thing

BLUE_BOOK = (0.155, 0.225, 0.046)
RED_BOOK = (0.145, 0.200, 0.042)


def things() -> list[Thing]:
    """Give everything on the table; instance ids are 1 + the place in this list."""
    red_book = books.book("red book", "#b3202c", "#f6e7c1", ("The Red", "Hills"), RED_BOOK)
    blue_book = books.book("blue book", "#1f3f8f", "#f2f2f2", ("Deep", "Water"), BLUE_BOOK)
    placed = [
        (toys.teddy_bear(), -0.09, 0.09, -65),
        (desk.globe(), 0.14, 0.19, 20),
        (kitchen.wine_bottle(), -0.12, 0.28, -60),
        (decor.cactus(), -0.30, 0.15, 60),
        (decor.gift_box(), 0.16, -0.04, 25),
        (kitchen.teapot(), -0.27, -0.14, 215),
        (toys.sports_ball("soccer ball"), 0.36, 0.10, 0),
        (toys.sports_ball("basketball"), 0.0, 0.44, 50),
        (desk.alarm_clock(), 0.34, -0.15, -62),
        (decor.traffic_cone(), -0.46, 0.02, 15),
        (food.pumpkin(), -0.30, 0.37, 0),
        (toys.duck(), 0.03, -0.29, -70),
        (kitchen.mug("red mug", "#c21f2b"), 0.17, 0.38, 100),
        (kitchen.mug("blue mug", "#2256b0"), -0.12, -0.37, 230),
        (food.apple("red apple", "#b3121d", "#d94a2a", 1), 0.22, -0.33, 0),
        (food.apple("green apple", "#7fb32a", "#a9cc4a", 7), 0.11, -0.40, 40),
        (food.orange(), 0.50, 0.17, 0),
        (food.bananas(), 0.03, -0.51, 12),
        (food.doughnut(), 0.36, -0.36, 0),
        (kitchen.soda_can(), 0.50, 0.02, -60),
        (kitchen.candle(), -0.17, 0.48, 120),
        (toys.puzzle_cube(), -0.42, -0.30, 25),
        (toys.die("white dice", "#f7f5ee", "#151515"), -0.26, -0.34, 30),
        (toys.die("red dice", "#c3141f", "#ffffff"), -0.30, -0.44, 65),
        (toys.toy_car(), -0.49, 0.20, 115),
        (toys.sports_ball("tennis ball"), 0.48, -0.14, 0),
        (desk.pencil(), 0.20, -0.52, 25),
        (blue_book, 0.33, 0.31, 223),
        (red_book, -0.05, -0.10, 90),
    ]
    return [thing.turned("z", heading).moved((x, y, 0.0)) for thing, x, y, heading in placed]
