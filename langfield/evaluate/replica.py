"""`replica` and `replica-3d`, version 1. Per-class mIoU: everything takes the best of a vocabulary.

Names of ids: names.json, info_semantic.json or classes.txt (`langfield.evaluate.classes`). `replica`: pictures of ids
in semantic_class/, masks/ or the folder itself, named as the photos or by the same number; every pixel takes the class
whose relevancy is highest at its best level, unfiltered. `replica-3d`: the folder's only PLY, whose vertices have x, y,
z in the capture's world and an integer `label`, `class`, `class_id` or `object_id`; every point takes the class of the
nearest Gaussian that is at least 0.1 opaque and was seen. Both: the vocabulary is all named classes; ids without a name
are void, they count for nothing; IoU per class from true and false positives and negatives pooled over the scene; mIoU
and mAcc (recall) are means over the classes that occur in the labels, each class counting once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64
from scipy.spatial import KDTree

from langfield.capture.points import read_ply_rows
from langfield.capture.types import Frame
from langfield.errors import FormatError
from langfield.evaluate.classes import (
    CLASSES_AT_ONCE,
    NO_CLASS,
    RunningBest,
    classify_pixels,
    fit_to_frame,
    match_frames,
    read_class_names,
    read_id_picture,
    vocabulary,
)
from langfield.evaluate.types import Look, Outcome, Subject
from langfield.progress import track
from langfield.query.gaussians import MIN_OPACITY, gaussian_relevancy
from langfield.query.image import language_of
from langfield.query.relevancy import encode_phrases

METRICS = ("mIoU", "mAcc")
FOLDERS = ("semantic_class", "masks", ".")
LABELS = ("label", "class", "class_id", "object_id")
MAX_PICTURES = 100_000


@dataclass(frozen=True)
class Score:
    """One class over the whole scene."""

    frame: str
    """What it was pooled over, such as "12 views"."""
    text: str
    shared: int
    """Pixels or points that are of the class and were given it."""
    answered: int
    labelled: int
    seen: Look | None = None
    """The view that shows most of the class."""

    @property
    def iou(self) -> float:
        """Overlap pooled over the scene."""
        return self.shared / (self.answered + self.labelled - self.shared)

    def values(self) -> Mapping[str, float]:
        """Give this class's share of the metrics."""
        return {"mIoU": self.iou, "mAcc": self.shared / self.labelled}

    def columns(self) -> Mapping[str, Any]:
        """Give the counts."""
        return {"shared": self.shared, "answered": self.answered, "labelled": self.labelled}

    def look(self) -> Look | None:
        """Give what a picture of it shows."""
        return self.seen


class Counts:
    """True positives, answers and labels per class, added up view by view.

    Args:
        many: classes.
    """

    def __init__(self, many: int) -> None:
        self.many = many
        self.shared, self.answered, self.labelled = np.zeros((3, many), np.int64)

    def add(self, answer: Int32[np.ndarray, " *P"], truth: Int32[np.ndarray, " *P"]) -> None:
        """Count places that have a label; -1 is no class on either side."""
        said = truth != NO_CLASS
        answer, truth = answer[said], truth[said]
        self.shared += np.bincount(truth[answer == truth], minlength=self.many)
        self.answered += np.bincount(answer[answer != NO_CLASS], minlength=self.many)
        self.labelled += np.bincount(truth, minlength=self.many)

    def scores(self, over: str, texts: Sequence[str], looks: Mapping[int, Look]) -> list[Score]:
        """Give one score per class that occurs in the labels."""
        return [
            Score(over, texts[i], int(self.shared[i]), int(self.answered[i]), int(self.labelled[i]), looks.get(i))
            for i in np.flatnonzero(self.labelled).tolist()
        ]


def score_pixels(subject: Subject, folder: Path) -> Outcome:
    """Follow `replica` on every view that has a label picture."""
    names = read_class_names(folder)
    texts, place = vocabulary(names)
    pictures, notes = find_pictures(folder, list(subject.frames))
    counts, looks = Counts(len(texts)), dict[int, Look]()
    for path, frame in track(pictures, "replica"):
        truth = class_map(fit_to_frame(read_id_picture(path), frame, -1, path), place)
        answer, best = classify_pixels(subject.field, frame.camera, texts, subject.encoder)
        counts.add(answer, truth)
        for i in np.unique(truth[truth != NO_CLASS]).tolist():
            here = truth == i
            if i not in looks or here.sum() > looks[i].truth.sum():
                looks[i] = Look((answer == i) & (truth != NO_CLASS), here, best, frame=frame.name)
    return Outcome({"field": counts.scores(f"{len(pictures)} views", texts, looks)}, notes)


def find_pictures(folder: Path, frames: list[Frame]) -> tuple[list[tuple[Path, Frame]], tuple[str, ...]]:
    """Find the label pictures that belong to the capture's frames.

    Raises:
        FormatError: there is none.
    """
    home = next(folder / name for name in FOLDERS if (folder / name).is_dir())
    paths = {p.stem: p for p in sorted(home.glob("*.png"))[: MAX_PICTURES + 1]}
    matched = match_frames(list(paths), frames) if len(paths) <= MAX_PICTURES else {}
    if not matched:
        raise FormatError("no label picture belongs to this capture", home, "name them as the photos")
    lost = len(paths) - len(matched)
    notes = (f"{lost} label pictures are of views that are not in the capture",) if lost else ()
    return [(paths[stem], frame) for stem, frame in matched.items()], notes


def class_map(ids: Int32[np.ndarray, " *P"], place: Mapping[int, int]) -> Int32[np.ndarray, " *P"]:
    """Turn ids into places in the vocabulary; ids without a name become -1."""
    known, inverse = np.unique(ids, return_inverse=True)
    table = np.array([place.get(int(i), NO_CLASS) for i in known], np.int32)
    return table[inverse].reshape(ids.shape)


def score_points(subject: Subject, folder: Path) -> Outcome:
    """Follow `replica-3d` on the labelled points of a folder."""
    texts, place = vocabulary(read_class_names(folder))
    xyz, ids = read_labelled_points(folder)
    counts = Counts(len(texts))
    counts.add(classify_points(subject, xyz, texts), class_map(ids, place))
    scores = counts.scores(f"{len(xyz)} points", texts, {})
    return Outcome({"field": scores})


def read_labelled_points(folder: Path) -> tuple[Float[np.ndarray, "P 3"], Int32[np.ndarray, " P"]]:
    """Read the positions and ids of the folder's only PLY with labels.

    Raises:
        FormatError: there is none or more than one, it is damaged, or a position is not finite.
    """
    found = [(path, rows) for path in sorted(folder.glob("*.ply")) if (rows := read_ply_rows(path)) is not None]
    labelled = [(p, r, n) for p, r in found for n in LABELS if n in (r.dtype.names or ())]
    if len({p for p, _, _ in labelled}) != 1:
        raise FormatError(f"folder holds {len(labelled)} PLY files with labels", folder, "keep one")
    path, rows, name = labelled[0]
    xyz = np.stack([rows[c].astype(np.float64) for c in "xyz"], axis=1)
    ids = rows[name]
    if not len(xyz) or not np.isfinite(xyz).all() or not np.isfinite(ids.astype(np.float64)).all():
        raise FormatError("labelled points are missing or not finite", path)
    return xyz, ids.astype(np.float64).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32)


@torch.no_grad()
def classify_points(subject: Subject, xyz: Float[np.ndarray, "P 3"], texts: Sequence[str]) -> Int32[np.ndarray, " P"]:
    """Give every point the class of the nearest Gaussian that is visible and was seen; -1 where there is none."""
    field, running = subject.field, RunningBest()
    dim = language_of(field)[1].dim
    for start in range(0, len(texts), CLASSES_AT_ONCE):
        part = encode_phrases(subject.encoder, texts[start : start + CLASSES_AT_ONCE], dim)
        running.add(gaussian_relevancy(field, part).amax(dim=1).float().cpu().numpy())
    classes = running.classes()
    solid = (torch.sigmoid(field.gaussians.logit_opacities) >= MIN_OPACITY).cpu().numpy()
    rows: Int64[np.ndarray, " S"] = np.flatnonzero(solid & (classes != NO_CLASS))
    if not len(rows):
        return np.full(len(xyz), NO_CLASS, np.int32)
    _, nearest = KDTree(field.gaussians.means.detach().cpu().double().numpy()[rows]).query(xyz)
    return classes[rows[nearest]]
