"""`lerf-ovs-3d`, version 1. OpenGaussian's 3D protocol: select Gaussians for the text, draw the selection, compare.

As published (arXiv 2406.02058, Section 4.1; scripts/compute_lerf_iou.py): one selection per text for the whole scene;
the selected Gaussians are drawn alone, so nothing hides them; a pixel belongs to the answer where their opacity is
above 0.7; an empty answer scores 0; Acc@0.25 and Acc@0.5 are the shares of queries with an IoU strictly above those.
Papers differ in how they select (thresholds from 0.35 to 0.8 on relevancy): here it is `langfield.query`'s own
selection, the same that `langfield query` and the viewer give, with nothing tuned to the scene. Ours: labels find their
frame by name, and all of a label's outlines together are the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from langfield.capture.types import Camera
from langfield.evaluate.labels import OfQuery, Query, draw_mask
from langfield.evaluate.langsplat2d import box_list, measure_iou
from langfield.evaluate.types import Look, Selector, Subject
from langfield.field.at_time import at_time
from langfield.field.types import Field
from langfield.progress import track
from langfield.query.gaussians import MIN_OPACITY, RANGE_SHARE, gaussian_relevancy
from langfield.query.image import blend_scores, language_of
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.raster import RasterOptions, rasterize
from langfield.raster.types import Gaussians

METRICS = ("mIoU", "Acc@0.25", "Acc@0.5")
SOLID_ABOVE = 0.7


@dataclass(frozen=True)
class Score(OfQuery):
    """One query's result."""

    iou: float
    mask: Bool[np.ndarray, "H W"]
    relevancy: Float32[np.ndarray, "H W"]
    """For the picture: relevancy blended into the view, best of the levels."""
    gaussians: int
    """How many were selected."""

    def values(self) -> Mapping[str, float]:
        """Give this query's share of the metrics."""
        return {"mIoU": self.iou, "Acc@0.25": float(self.iou > 0.25), "Acc@0.5": float(self.iou > 0.5)}

    def columns(self) -> Mapping[str, Any]:
        """Give how many Gaussians and pixels the answer has."""
        return {"gaussians": self.gaussians, "answer_px": int(self.mask.sum()), "boxes": box_list(self.query)}

    def look(self) -> Look:
        """Give what a picture of it shows."""
        return Look(self.mask, draw_mask(self.query.polygons, *self.mask.shape), self.relevancy)


def score_selections(subject: Subject, queries: Sequence[Query], select: Selector) -> list[Score]:
    """Score a field by the 3D protocol.

    Args:
        subject: the field and its frames.
        queries: what is asked, with outlines in pixels of the frames.
        select: gives the rows of the Gaussians each phrase names.

    Raises:
        QueryError: encoder and field do not fit, or a label cannot be asked.
    """
    if not queries:
        return []
    texts = list(dict.fromkeys(q.text for q in queries))
    phrases = encode_phrases(subject.encoder, texts, language_of(subject.field)[1].dim)
    rows = dict(zip(texts, select(subject.field, phrases), strict=True))
    relevancies = dict(zip(texts, gaussian_relevancy(subject.field, phrases), strict=True))
    cameras = {f.name: f.camera for f in subject.frames}
    scores = []
    for query in track(queries, "selections"):
        camera = cameras[query.frame]
        field = at_time(subject.field, camera.time_s)
        mask = draw_selection(field.gaussians, rows[query.text], camera)
        drawn = blend_scores(field, camera, relevancies[query.text])
        iou = measure_iou(mask, draw_mask(query.polygons, *mask.shape))
        scores.append(Score(query, iou, mask, drawn.amax(dim=0).cpu().numpy(), len(rows[query.text])))
    return scores


@torch.no_grad()
def draw_selection(gaussians: Gaussians, rows: Int64[np.ndarray, " S"], camera: Camera) -> Bool[np.ndarray, "H W"]:
    """Tell where selected Gaussians, drawn alone, are more opaque than 0.7."""
    if len(rows) == 0:
        return np.zeros((camera.height, camera.width), bool)
    chosen = torch.as_tensor(rows, device=gaussians.means.device)
    alone = Gaussians(*(t[chosen].contiguous() for t in gaussians.tensors()))
    return (rasterize(alone, camera, options=RasterOptions(colour=False)).alpha > SOLID_ABOVE).cpu().numpy()


def select_by_range(field: Field, phrases: Phrases) -> list[Int64[np.ndarray, " S"]]:
    """Select, per phrase, the upper three tenths of the relevancy's range at the level where it goes highest.

    The range runs from what 1 % of the Gaussians stay below to what 1 in 1,000 exceed; hardly visible ones are out.
    """
    solid = (torch.sigmoid(field.gaussians.logit_opacities) >= MIN_OPACITY).cpu().numpy()
    return [_upper_range(one.cpu().double().numpy(), solid) for one in gaussian_relevancy(field, phrases)]


def _upper_range(scores: np.ndarray, solid: np.ndarray) -> Int64[np.ndarray, " S"]:
    if not solid.any():
        return np.zeros(0, np.int64)
    low, high = np.quantile(scores[:, solid], [0.01, 0.999], axis=1)
    level = int(high.argmax())
    cut = low[level] + RANGE_SHARE * (high[level] - low[level])
    return np.flatnonzero(solid & (scores[level] >= cut) & (high[level] > low[level]))
