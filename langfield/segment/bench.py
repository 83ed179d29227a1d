"""Measurements of the mask generator: time and likeness to the stock one, and what labelled things it can show."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from langfield.artefacts import read_json
from langfield.errors import FormatError
from langfield.progress import track
from langfield.segment.nms import MaskNms, mask_nms, overlaps
from langfield.segment.sam import SamSegmenter
from langfield.segment.stock import stock_levels
from langfield.segment.types import LEVELS, LevelMasks, Segmenter, SegmentSettings


def bench_masks(
    photos: Sequence[Path], checkpoint: Path, kind: str = "vit_t", settings: SegmentSettings | None = None
) -> dict[str, Any]:
    """Compare our generator with the stock one on the same photos.

    Args:
        photos: pictures; the stock generator takes about a minute for each.
        checkpoint: SAM weights.
        kind: their kind.
        settings: points and thresholds of both; ours by default.

    Returns:
        Per stage ("generated": before mask NMS, "thinned": after it, the same rule on both) and level, the mean best
        IoU in both directions and the numbers of masks; seconds a photo of both; per photo and in the mean.
    """
    settings = settings or SegmentSettings()
    ours = SamSegmenter(checkpoint, kind, settings)
    plain = SamSegmenter(checkpoint, kind, dataclasses.replace(settings, mask_nms=False))
    rows = [_compare(read_photo(path), ours, plain) | {"photo": path.name} for path in track(photos, "mask bench")]
    return {"photos": rows, "mean": _mean([{k: v for k, v in row.items() if k != "photo"} for row in rows])}


def _compare(image: UInt8[np.ndarray, "H W 3"], ours: SamSegmenter, plain: SamSegmenter) -> dict[str, Any]:
    start = time.perf_counter()
    thinned = ours.level_masks(image)
    between = time.perf_counter()
    stock = stock_levels(ours.model, image, ours.settings)
    end = time.perf_counter()
    rule = MaskNms(ours.settings.nms_iou, ours.settings.nms_score, ours.settings.inner_thresh)
    return {
        "seconds_ours": between - start,
        "seconds_stock": end - between,
        "generated": likeness(stock, plain.level_masks(image)),
        "thinned": likeness([_thinned(level, rule) for level in stock], thinned),
    }


def _thinned(level: LevelMasks, rule: MaskNms) -> LevelMasks:
    keep = mask_nms(torch.from_numpy(level.masks), torch.from_numpy(level.scores), rule).numpy()
    return LevelMasks(level.masks[keep], level.scores[keep])


def likeness(stock: Sequence[LevelMasks], ours: Sequence[LevelMasks]) -> dict[str, Any]:
    """Give per level the mean best IoU of stock masks among ours and of ours among the stock's, and their numbers."""
    return {
        name: {
            "stock_in_ours": float(best_iou(a.masks, b.masks).mean()) if len(a.masks) else 1.0,
            "ours_in_stock": float(best_iou(b.masks, a.masks).mean()) if len(b.masks) else 1.0,
            "masks_stock": len(a.masks),
            "masks_ours": len(b.masks),
        }
        for name, a, b in zip(LEVELS, stock, ours, strict=True)
    }


def best_iou(wanted: Bool[np.ndarray, "A H W"], given: Bool[np.ndarray, "B H W"]) -> Float[np.ndarray, " A"]:
    """Give each wanted mask's highest IoU with any given one, 0 where none is given."""
    if len(given) == 0 or len(wanted) == 0:
        return np.zeros(len(wanted))
    shared = overlaps(torch.from_numpy(np.concatenate([wanted, given]))).numpy()
    area, n = shared.diagonal(), len(wanted)
    inter = shared[:n, n:]
    return (inter / (area[:n, None] + area[None, n:] - inter)).max(axis=1)


def bench_labels(images: Path, labels: Path, segmenter: Segmenter) -> dict[str, Any]:
    """Measure what a segmenter allows: per labelled thing the best IoU of any visible mask of any level.

    Args:
        images: folder of the labelled pictures.
        labels: folder of JSON files in the LERF-OVS layout (info.name, objects with category and segmentation).
        segmenter: what is measured.

    Returns:
        "mean", "share_above_half", "count", "by_object": frame, name, IoU.
    """
    rows: list[dict[str, Any]] = []
    for path in track(sorted(labels.glob("*.json")), "labelled frames"):
        label = read_json(path)
        picture = read_photo(images / label["info"]["name"])
        segments = segmenter.segment(picture)
        masks = np.stack([segments.ids[level] == row for row, level in enumerate(segments.levels)])
        things = np.stack([_polygon(thing, picture) for thing in label["objects"]])
        names = [thing["category"] for thing in label["objects"]]
        found = best_iou(things, masks)
        rows += [{"frame": path.stem, "name": n, "iou": float(v)} for n, v in zip(names, found, strict=True)]
    ious = np.array([row["iou"] for row in rows])
    return {
        "mean": float(ious.mean()), "share_above_half": float((ious >= 0.5).mean()), "count": len(rows),
        "by_object": rows,
    }  # fmt: skip


def _polygon(thing: Mapping[str, Any], picture: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    canvas = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(canvas, [np.round(np.array(thing["segmentation"])).astype(np.int32)], 1)
    return canvas.astype(bool)


def read_photo(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Read a picture as RGB.

    Raises:
        FormatError: missing or not a picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FormatError("not readable as a picture", path)
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _mean(rows: Sequence[Any]) -> Any:
    if isinstance(rows[0], dict):
        return {key: _mean([row[key] for row in rows]) for key in rows[0]}
    return float(np.mean(rows))
