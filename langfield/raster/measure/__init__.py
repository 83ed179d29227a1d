"""How well and how fast the rasterizer draws: agreement, poison, speed and what a GPU has to show."""
