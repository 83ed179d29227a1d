"""A segmenter without weights: connected regions of similar colour, for tests and machines without a model.

It knows nothing of objects. Pictures are smoothed, brought to a few levels of lightness and colour, and split into
connected regions; a region too small is given to the neighbour it touches most. Coarser colours give coarser levels,
and each level's regions are unions of the finer one's.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from jaxtyping import Int32, UInt8

from langfield.artefacts import plain
from langfield.errors import FormatError
from langfield.segment.assemble import from_partitions
from langfield.segment.types import LEVELS, MAX_SEGMENTS, Segments, SegmentSettings

NAME = "components"
STEPS = (24, 48, 96)  # width of a colour bin at each level, in OpenCV's 8-bit Lab
MAX_REGIONS = MAX_SEGMENTS // len(LEVELS)


class ComponentsSegmenter:
    """Connected components of quantised colour at three coarsenesses; deterministic."""

    name = NAME

    def __init__(self, settings: SegmentSettings) -> None:
        self.settings = settings
        self.provenance: dict[str, Any] = {"segmenter": NAME, "steps": list(STEPS), "settings": plain(settings)}

    def segment(self, image: UInt8[np.ndarray, "H W 3"]) -> Segments:
        """Find the regions of an RGB picture; every pixel belongs to one region of each level."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise FormatError("not an 8-bit RGB picture", f"{image.dtype} {list(image.shape)}")
        lab = cv2.cvtColor(cv2.medianBlur(np.ascontiguousarray(image), 5), cv2.COLOR_RGB2LAB)
        least = max(self.settings.min_area_px, 1)
        fine = merge_small(components(lab, STEPS[0]), least)
        maps = [fine]
        for step in STEPS[1:]:
            maps.append(_coarser(maps[-1], lab, step))
        return from_partitions(maps)


def components(lab: UInt8[np.ndarray, "H W 3"], step: int) -> Int32[np.ndarray, "H W"]:
    """Label 4-connected pixels of equal quantised colour, 0 onwards."""
    bins = (lab // step).astype(np.int32)
    code = (bins[..., 0] * 64 + bins[..., 1]) * 64 + bins[..., 2]
    labels = np.zeros(code.shape, np.int32)
    total = 0
    for value in np.unique(code):
        count, part = cv2.connectedComponents((code == value).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
        labels = np.where(part > 0, part - 1 + total, labels)
        total += count - 1
    return labels.astype(np.int32)


def merge_small(labels: Int32[np.ndarray, "H W"], least: int) -> Int32[np.ndarray, "H W"]:
    """Give regions under `least` pixels to the region they share the longest border with, smallest first.

    Regions are numbered anew from 0. Where even then more than MAX_REGIONS are left, `least` is doubled.
    """
    while True:
        parent = _merge_round(labels, least)
        if (parent == np.arange(len(parent))).all():
            count = len(parent)
            if count <= MAX_REGIONS:
                return labels
            least *= 2
        labels = _renumber(parent[labels])


def _merge_round(labels: Int32[np.ndarray, "H W"], least: int) -> Int32[np.ndarray, " R"]:
    """Give each region's new number after every small one has joined its closest neighbour."""
    area = np.bincount(labels.ravel())
    count = len(area)
    pairs, border = _borders(labels)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    weight = np.concatenate([border, border])
    order = np.lexsort((both[:, 1], -weight, both[:, 0]))
    first = np.unique(both[order, 0], return_index=True)
    best = np.arange(count)
    best[first[0]] = both[order][first[1], 1]
    parent = np.arange(count)
    for region in np.argsort(area, kind="stable"):
        if area[region] >= least:
            break
        root = _root(parent, int(best[region]))
        if root != region:
            parent[region] = root
    return np.array([_root(parent, region) for region in range(count)], np.int32)


def _root(parent: np.ndarray, region: int) -> int:
    while parent[region] != region:
        region = parent[region]
    return region


def _borders(labels: Int32[np.ndarray, "H W"]) -> tuple[Int32[np.ndarray, "E 2"], Int32[np.ndarray, " E"]]:
    across = np.stack([labels[:, 1:].ravel(), labels[:, :-1].ravel()], axis=1)
    down = np.stack([labels[1:].ravel(), labels[:-1].ravel()], axis=1)
    pairs = np.sort(np.concatenate([across, down]), axis=1)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if len(pairs) == 0:
        return np.zeros((0, 2), np.int32), np.zeros(0, np.int32)
    unique, count = np.unique(pairs, axis=0, return_counts=True)
    return unique, count.astype(np.int32)


def _renumber(labels: np.ndarray) -> Int32[np.ndarray, "H W"]:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int32)


def _coarser(labels: Int32[np.ndarray, "H W"], lab: UInt8[np.ndarray, "H W 3"], step: int) -> Int32[np.ndarray, "H W"]:
    """Join touching regions whose mean colours differ by less than half of `step`."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    area = np.bincount(labels.ravel())
    mean = np.stack([np.bincount(labels.ravel(), lab[..., c].ravel()) for c in range(3)], axis=1) / area[:, None]
    pairs, _ = _borders(labels)
    near = pairs[np.abs(mean[pairs[:, 0]] - mean[pairs[:, 1]]).max(axis=1) < step / 2] if len(pairs) else pairs
    graph = coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(area), len(area)))
    return connected_components(graph, directed=False)[1][labels].astype(np.int32)
