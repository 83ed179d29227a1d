"""A video made here: patterned things that move over a patterned wall, exact masks, and masks broken on purpose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from langfield.segment.assemble import assemble
from langfield.segment.track import Shot
from langfield.segment.types import LevelMasks

HEIGHT, WIDTH, DIM = 108, 144, 24


@dataclass(frozen=True)
class Film:
    """T pictures, and which thing (from 1) each pixel shows."""

    pictures: list[np.ndarray]
    truth: list[np.ndarray]
    vectors: np.ndarray
    """Row per thing, the wall first."""


def pattern(seed: int, height: int, width: int) -> np.ndarray:
    """Smooth noise with strong contrast: flow has something to hold on to."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (height, width, 3)).astype(np.float32), (0, 0), 2.5)
    low, high = noise.min(), noise.max()
    return ((noise - low) / (high - low) * 255).astype(np.uint8)


def film(paths: list[np.ndarray], side: int = 28, seed: int = 0) -> Film:
    """Draw squares along paths of left upper corners [T, 2] (x, y); nan where a thing is not there."""
    wall = pattern(seed, HEIGHT, WIDTH)
    looks = [pattern(seed + 1 + k, side, side) for k in range(len(paths))]
    pictures, truth = [], []
    for t in range(len(paths[0])):
        picture, ids = wall.copy(), np.zeros((HEIGHT, WIDTH), np.int64)
        for k, path in enumerate(paths):
            if np.isfinite(path[t]).all():
                x, y = np.rint(path[t]).astype(int)
                picture[y : y + side, x : x + side] = looks[k][: HEIGHT - y, : WIDTH - x]
                ids[y : y + side, x : x + side] = k + 1
        pictures.append(picture)
        truth.append(ids)
    vectors = np.random.default_rng(seed).normal(size=(len(paths) + 1, DIM))
    return Film(pictures, truth, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def shot(picture: np.ndarray, masks: list[list[np.ndarray]], vectors: list[list[np.ndarray]]) -> Shot:
    """Give a picture whose masks at three levels are these, each with its vector."""
    levels, rows = [], []
    for own, said in zip(masks, vectors, strict=True):
        order = np.argsort([-m.sum() for m in own], kind="stable")
        levels.append(LevelMasks(np.array(own, bool).reshape(-1, *picture.shape[:2]), np.ones(len(own), np.float32)))
        rows += [said[i] for i in order]
    table = np.array(rows, np.float32).reshape(-1, DIM)
    return Shot(picture, assemble(levels), table / np.linalg.norm(table, axis=1, keepdims=True))


def broken(made: Film, seed: int, missing: float = 0.15, fused: tuple[int, int, tuple[int, ...]] | None = None):
    """Give shots whose masks are those of the film as a segmenter would spoil them.

    Whole level: the true masks, some of them missing; in some pictures two things in one mask. Below: halves.
    """
    rng = np.random.default_rng(seed)
    shots = []
    for t, (picture, truth) in enumerate(zip(made.pictures, made.truth, strict=True)):
        whole, below = list[np.ndarray](), list[np.ndarray]()
        said, said_below = list[np.ndarray](), list[np.ndarray]()
        for k in np.unique(truth):
            mask, vector = truth == k, made.vectors[k] + 0.03 * rng.normal(size=DIM)
            columns = np.flatnonzero(mask.any(axis=0))
            left = mask & (np.arange(WIDTH) < columns.mean())[None]
            if k:
                below += [left, mask & ~left]
                said_below += [vector + 0.08 * rng.normal(size=DIM) for _ in range(2)]
            if (k == 0 or rng.random() > missing) and not (fused and k in fused[:2] and t in fused[2]):
                whole.append(mask)
                said.append(vector)
        if fused and t in fused[2]:
            whole.append((truth == fused[0]) | (truth == fused[1]))
            said.append(made.vectors[fused[0]] + made.vectors[fused[1]])
        shots.append(shot(picture, [below, [], whole], [said_below, [], said]))
    return shots


def straight(start: tuple[float, float], end: tuple[float, float], count: int) -> np.ndarray:
    """Give a path from one corner to another."""
    return np.linspace(start, end, count)


def agreement(maps: list[np.ndarray], truth: list[np.ndarray], thing: int) -> tuple[float, list[int]]:
    """Give the mean intersection over union of a thing with the id that fits best, and which ids cover most of it."""
    seen = [t for t, ids in enumerate(truth) if (ids == thing).sum() >= 20]
    many = max(int(m.max()) for m in maps) + 1
    scores, most = np.zeros((len(seen), many)), []
    for row, t in enumerate(seen):
        own = truth[t] == thing
        both = np.bincount(maps[t][own], minlength=many)
        scores[row] = both / np.maximum(own.sum() + np.bincount(maps[t].ravel(), minlength=many) - both, 1)
        most.append(int(both.argmax()))
    return float(scores[:, 1:].mean(axis=0).max()) if many > 1 else 0.0, sorted(set(most))
