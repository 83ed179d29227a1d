"""`3d-ovs`, version 1. 3D-OVS's protocol: every pixel takes the best of the scene's classes.

Layout (arXiv 2305.14093 and its data): segmentations/classes.txt names the classes; segmentations/VIEW/CLASS.png is
white (above 127) where the class is, for every class; VIEW is a picture's name without suffix, or its number. Every
pixel takes the class whose relevancy is highest at its best level, unfiltered; pixels on which nothing with a code is
seen have none. mIoU is the mean over pairs of view and class; a class that a view does not show is not asked there.
All annotated views count, trained on or not. LangSplat and LangSplatV2 cut a mask per class with thresholds of their
own instead, so their printed numbers stand beside ours under the published name of the benchmark, not of this rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from langfield.capture.images import read_picture
from langfield.capture.types import Frame
from langfield.errors import FormatError
from langfield.evaluate.classes import MAX_CLASSES, classify_pixels, fit_to_frame, match_frames, read_lines
from langfield.evaluate.langsplat2d import measure_iou
from langfield.evaluate.types import Look, Outcome, Subject
from langfield.progress import track
from langfield.query.relevancy import check_text

METRICS = ("mIoU",)
MAX_VIEWS = 10_000
WHITE_ABOVE = 127


@dataclass(frozen=True)
class Score:
    """One class in one view."""

    frame: str
    text: str
    iou: float
    answer: Bool[np.ndarray, "H W"]
    truth: Bool[np.ndarray, "H W"]
    relevancy: Float32[np.ndarray, "H W"]
    """Of whatever class is best at the pixel."""

    def values(self) -> Mapping[str, float]:
        """Give this pair's share of the metric."""
        return {"mIoU": self.iou}

    def columns(self) -> Mapping[str, Any]:
        """Give the sizes of answer and label."""
        return {"answer_px": int(self.answer.sum()), "label_px": int(self.truth.sum())}

    def look(self) -> Look:
        """Give what a picture of it shows."""
        return Look(self.answer, self.truth, self.relevancy)


@dataclass(frozen=True)
class View:
    """The masks of one annotated view; read when they are needed."""

    frame: Frame
    folder: Path

    def truth(self, name: str) -> Bool[np.ndarray, "H W"]:
        """Read where a class is.

        Raises:
            FormatError: the mask is missing, damaged, or of another shape than the photo.
        """
        path = self.folder / f"{name}.png"
        grey: UInt8[np.ndarray, "h w"] = read_picture(path).max(axis=2)
        return fit_to_frame(grey, self.frame, 0, path) > WHITE_ABOVE


def read_scene(folder: Path, frames: list[Frame]) -> tuple[list[str], list[View], tuple[str, ...]]:
    """Read the classes and find the annotated views.

    Args:
        folder: the scene's, or its segmentations.
        frames: the capture's.

    Raises:
        FormatError: a list of classes that cannot be used, or no view that belongs to the capture.
    """
    folder = folder / "segmentations" if (folder / "segmentations").is_dir() else folder
    classes = sorted({_checked(line, folder) for line in read_lines(folder / "classes.txt")})
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise FormatError(f"{len(classes)} classes are named; at least two are needed", folder / "classes.txt")
    below = sorted(p for p in folder.iterdir() if p.is_dir())[: MAX_VIEWS + 1]
    matched = match_frames([p.name for p in below], frames) if len(below) <= MAX_VIEWS else {}
    if not matched:
        raise FormatError("no annotated view belongs to this capture", folder, "check that names agree")
    lost = [p.name for p in below if p.name not in matched]
    notes = (f"annotated views that are not in the capture: {', '.join(lost)}",) if lost else ()
    return classes, [View(matched[p.name], p) for p in below if p.name in matched], notes


def _checked(name: str, folder: Path) -> str:
    """Give a class name that can be asked and cannot lead out of its folder."""
    if any(c in name for c in "/\\\0") or name in (".", ".."):
        raise FormatError(f"class name {name[:40]!r} is no file name", folder / "classes.txt")
    return check_text(name)


def score(subject: Subject, folder: Path) -> Outcome:
    """Follow `3d-ovs` on every annotated view."""
    classes, views, notes = read_scene(folder, list(subject.frames))
    scores: list[Score] = []
    for view in track(views, "3d-ovs"):
        truths = [view.truth(name) for name in classes]
        found, relevancy = classify_pixels(subject.field, view.frame.camera, classes, subject.encoder)
        for i, (name, truth) in enumerate(zip(classes, truths, strict=True)):
            if truth.any():
                iou = measure_iou(found == i, truth)
                scores.append(Score(view.frame.name, name, iou, found == i, truth, relevancy))
    return Outcome({"field": scores}, notes)
