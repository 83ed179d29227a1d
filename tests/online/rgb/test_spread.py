"""Depth between known pixels: planes come back, edges keep surfaces apart, nothing is made up far away."""

from __future__ import annotations

import numpy as np
import pytest

from langfield.online.rgb.spread import REACH, spread_depth

HEIGHT, WIDTH = 60, 80


def some(depth: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Keep depth at random pixels only."""
    return np.where(np.random.default_rng(seed).random(depth.shape) < share, depth, 0).astype(np.float32)


def slanted() -> np.ndarray:
    """A plane seen at a slant: its inverse depth is linear in the picture."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return 1 / (0.3 + 0.004 * u + 0.002 * v)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (240, 320)])
def test_a_plane_comes_back(size: tuple[int, int]):
    v, u = np.mgrid[: size[0], : size[1]]
    depth = 1 / (0.3 + 0.3 * u / size[1] + 0.1 * v / size[0])
    known = some(depth, 0.02)
    found = spread_depth(known, np.full((*size, 3), 128, np.uint8))
    off = np.abs(found / depth - 1)
    assert np.median(off) < 0.01
    assert off.max() < 0.1
    assert (found[known > 0] == known[known > 0]).all()


def test_surfaces_stay_apart_where_the_picture_has_an_edge():
    depth = np.where(np.arange(WIDTH) < 37, 1.0, 3.0)[None].repeat(HEIGHT, 0)
    image = np.where(depth == 1.0, 60, 180).astype(np.uint8)[..., None].repeat(3, 2)
    known = some(depth, 0.02)
    with_edge, without = (spread_depth(known, i) for i in (image, np.full_like(image, 60)))
    wrong_with, wrong_without = ((np.abs(found / depth - 1) > 0.1).mean() for found in (with_edge, without))
    assert wrong_with < 0.03
    assert wrong_without > 2 * wrong_with


def test_far_from_all_known_pixels_nothing_is_known():
    known = np.zeros((HEIGHT, WIDTH), np.float32)
    known[30, 10] = 2.0
    found = spread_depth(known, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    far = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([30, 10])[:, None, None]))
    assert (found[far > REACH * WIDTH + 2] == 0).all()
    np.testing.assert_allclose(found[far < REACH * WIDTH - 2], 2.0, rtol=1e-4)
    assert not spread_depth(np.zeros_like(known), np.zeros((HEIGHT, WIDTH, 3), np.uint8)).any()


def test_it_is_the_same_whatever_the_unit():
    known, image = some(slanted(), 0.05), np.random.default_rng(1).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    np.testing.assert_allclose(spread_depth(1000 * known, image), 1000 * spread_depth(known, image), rtol=1e-4)
