"""A question put to the Gaussians themselves: quick enough to answer while somebody looks at the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from scipy import ndimage

from langfield.capture.types import Frame
from langfield.field.types import Field
from langfield.query.gaussians import (
    MIN_OPACITY,
    RANGE_SHARE,
    VOXELS,
    Selection,
    select_gaussians,
)
from langfield.query.image import language_of
from langfield.query.relevancy import NEUTRAL, check_text, encode_phrases
from langfield.query.similarity import Similarity
from langfield.raster.types import Gaussians
from langfield.suite.types import TextEncoder
from langfield.viewer.cameras import in_camera
from langfield.viewer.decoded import DecodedCodes

PRIOR = 2.0
"""A place is averaged with this much of relevancy 0.5, so that a single stray Gaussian is no find."""
LEAST_ABOVE = 0.005
"""A suggested threshold is at least this far above 0.5."""
TIE = 0.005
"""Places this close in relevancy are equally good; the one in the midst of most of its like is taken."""
AROUND = 9
"""Cells along the cube in which a place's like are counted."""
MOST_VIEWS = 48
DEPTH_CELLS = 48
"""Cells along the longer side of the coarse depth map that tells which Gaussians a view has in sight."""
MOST_IN_DEPTH = 60_000


@dataclass(frozen=True)
class Place:
    """Where a level is most relevant."""

    score: float
    """Relevancy averaged over neighbouring Gaussians, 0 to 1."""
    anchor: Float[np.ndarray, " 3"]
    """World units."""


@dataclass(frozen=True)
class Found:
    """What the Gaussians say to a question."""

    text: str
    scores: Float32[np.ndarray, "L N"]
    places: tuple[Place, ...]
    """One per level."""
    encoders: tuple[str, str]
    """Names of the image encoder and the text encoder."""

    @property
    def level(self) -> int:
        """The level whose place scores highest, the first of equals."""
        return int(np.argmax([p.score for p in self.places]))


class Asker:
    """Holds a field, and what the first question makes: the text encoder and the decoded codes."""

    def __init__(self, field: Field, load_encoder: Callable[[], TextEncoder]) -> None:
        self._field, self._load = field, load_encoder
        self._encoder: TextEncoder | None = None
        self._decoded: DecodedCodes | Similarity | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the text encoder is loaded and the codes are decoded."""
        return self._encoder is not None and self._decoded is not None

    def ask(self, text: str) -> Found:
        """Ask for something in words.

        Raises:
            QueryError: the text cannot be asked, or the field has no language part.
        """
        codes, codec = language_of(self._field)
        text = check_text(text)
        self._encoder = self._encoder or self._load()
        phrases = encode_phrases(self._encoder, [text], codec.dim)
        if self._decoded is None:
            self._decoded = Similarity(self._field) if codec.linear else DecodedCodes(codes, codec)
        scores = self._decoded.relevancy(phrases)[0].numpy()
        places = tuple(find_place(self._field.gaussians, level) for level in scores)
        image = str(self._field.provenance.get("image_encoder", "unknown"))
        return Found(text, scores, places, (image, self._encoder.name))


def find_place(gaussians: Gaussians, scores: Float[np.ndarray, " N"]) -> Place:
    """Find where relevancy, averaged over the cells of a grid and their neighbours, is highest.

    This is to Gaussians what LangSplat's mean filter is to pixels: one stray Gaussian must not decide.

    Args:
        gaussians: the field's.
        scores: relevancy of each.
    """
    means = gaussians.means.detach().float().cpu().numpy()
    solid = torch.sigmoid(gaussians.logit_opacities).detach().float().cpu().numpy()
    rows = np.flatnonzero(np.isfinite(means).all(axis=1) & (solid >= MIN_OPACITY))
    if len(rows) == 0:
        return Place(NEUTRAL, np.zeros(3))
    low, high = np.quantile(means[rows], (0.02, 0.98), axis=0)
    cell = max(float((high - low).max()) / VOXELS, 1e-9)
    index = np.clip(np.floor((means[rows] - low) / cell), -1, VOXELS).astype(np.int64) + 1
    shape = (VOXELS + 2,) * 3
    flat = np.ravel_multi_index(tuple(index.T), shape)
    count = np.bincount(flat, weights=solid[rows], minlength=np.prod(shape)).reshape(shape)
    total = np.bincount(flat, weights=solid[rows] * scores[rows], minlength=np.prod(shape)).reshape(shape)
    box = np.ones((3, 3, 3))
    near, near_total = (ndimage.convolve(a, box, mode="constant") for a in (count, total))
    average = np.where(count > 0, (near_total + PRIOR * NEUTRAL) / (near + PRIOR), -1.0)
    tied = average >= average.max() - TIE
    best = int(np.argmax(np.where(tied, ndimage.uniform_filter(count * tied, AROUND, mode="constant"), -1.0)))
    here = rows[flat == best]
    return Place(float(average.flat[best]), np.average(means[here], axis=0, weights=solid[here]))


def select(gaussians: Gaussians, found: Found, level: int) -> Selection:
    """Collect the Gaussians that make up the thing at a level's place."""
    place = found.places[level]
    return select_gaussians(gaussians, torch.from_numpy(found.scores[level]), place.anchor, place.score)


def middle(gaussians: Gaussians, selection: Selection) -> Float[np.ndarray, " 3"] | None:
    """Give the median place of the Gaussians that make up a thing, world units; None where there is none."""
    if len(selection.rows) == 0:
        return None
    return np.median(gaussians.means.detach().float().cpu().numpy()[selection.rows], axis=0)


def suggested_threshold(gaussians: Gaussians, found: Found, level: int) -> float:
    """Give the threshold that shows the upper three tenths of the level's range (LangSplat's rule for pixels).

    It is above 0.5, so that nothing lights up where nothing fits better than general words do.
    """
    solid = torch.sigmoid(gaussians.logit_opacities).detach().cpu().numpy() >= MIN_OPACITY
    low = float(np.quantile(found.scores[level][solid], 0.01)) if solid.any() else 0.0
    return float(np.clip(low + RANGE_SHARE * (found.places[level].score - low), NEUTRAL + LEAST_ABOVE, 1.0))


def best_view(frames: Sequence[Frame], gaussians: Gaussians, rows: np.ndarray) -> Frame | None:
    """Give the frame in which most of these Gaussians are in sight and large, or None where none has any.

    A coarse depth map of the Gaussians' centres stands for what hides what.

    Args:
        frames: the views; at most 48 of them, evenly spaced, are tried.
        gaussians: the field's.
        rows: row numbers of those to be seen.
    """
    if len(rows) == 0 or not frames:
        return None
    means = gaussians.means.detach().float().cpu().numpy()
    solid = np.flatnonzero(torch.sigmoid(gaussians.logit_opacities).detach().cpu().numpy() >= 0.5)
    hiding, wanted = means[solid[:: len(solid) // MOST_IN_DEPTH + 1]], means[rows]
    picked = np.unique(np.linspace(0, len(frames) - 1, min(MOST_VIEWS, len(frames))).round().astype(int))
    seen = [_seen(frames[i], hiding, wanted) for i in picked]
    return frames[picked[int(np.argmax(seen))]] if max(seen) > 0 else None


def _seen(frame: Frame, hiding: Float[np.ndarray, "H 3"], wanted: Float[np.ndarray, "W 3"]) -> float:
    """Sum the apparent size of the wanted points in sight: each counts as its inverse squared depth in pixels."""
    camera = frame.camera
    side = max(camera.width, camera.height) / DEPTH_CELLS
    nearest = np.full((DEPTH_CELLS + 1, DEPTH_CELLS + 1), np.inf)
    x, y, z = in_camera(camera, hiding)
    inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    np.minimum.at(nearest, ((y[inside] / side).astype(int), (x[inside] / side).astype(int)), z[inside])
    x, y, z = in_camera(camera, wanted)
    inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    x, y, z = x[inside], y[inside], z[inside]
    in_sight = z <= 1.1 * nearest[(y / side).astype(int), (x / side).astype(int)]
    share_of_picture = float(camera.K[0, 0] * camera.K[1, 1]) / (camera.width * camera.height)
    return float((share_of_picture / z[in_sight] ** 2).sum())
