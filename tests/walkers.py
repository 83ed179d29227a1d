"""Trackers that walk through a video once, well or badly."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from tests.videos import HEIGHT, WIDTH


class Walker:
    """Plays DEVA: matches detections with the last id map by overlap, and propagates by standing still."""

    version = "1"
    asked: ClassVar[list[bool]] = []

    def __init__(self) -> None:
        self.last = np.zeros((HEIGHT, WIDTH), np.int64)
        self.next = 1000
        Walker.asked.clear()

    def step(self, picture: np.ndarray, detections: np.ndarray | None) -> np.ndarray:
        Walker.asked.append(detections is not None)
        if detections is None:
            return self.last
        fresh = np.zeros_like(self.last)
        for one in set(np.unique(detections).tolist()) - {0}:
            old = np.bincount(self.last[detections == one]).argmax()
            self.next += 7
            fresh[detections == one] = old or self.next
        self.last = fresh
        return fresh


class Broken(Walker):
    """Gives maps of another size."""

    def step(self, picture: np.ndarray, detections: np.ndarray | None) -> np.ndarray:
        return np.zeros((2, 2), int)
