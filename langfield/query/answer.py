"""A question put to a field: the view that shows the thing best, where it is there, and where in space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from langfield.capture.types import Camera
from langfield.field.types import Field
from langfield.query.calibrate import Calibrator, Verdict
from langfield.query.gaussians import Selection, gaussian_relevancy, select_gaussians
from langfield.query.image import (
    FILTER_PX,
    MIN_ALPHA,
    TIE,
    Peak,
    blend_scores,
    cut_mask,
    find_peak,
    language_of,
    mean_filter,
    relevancy_view,
)
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.query.things import box_of_mask, see, selection_of, thing_scores
from langfield.query.views import Search, fit_side, most_of, spread_views
from langfield.query.vocabulary import encode_vocabulary
from langfield.raster.types import View
from langfield.segment.types import LEVELS
from langfield.suite.types import TextEncoder


@dataclass(frozen=True)
class AskSettings:
    """How a field is searched."""

    max_views: int = 16
    """Views drawn at most in search of a thing: of all views those in which it would be largest were nothing before it
    (`langfield.query.views`). A field without instances is searched in views evenly spaced over all."""
    search_side_px: int = 320
    """Longer side at which views are searched, pixels."""
    answer_side_px: int = 1080
    """Longer side, at most, at which the best view is drawn again for the answer, pixels."""
    enough: float = 1.0
    """The search for a thing ends at a view that shows at least this share of what any other promises; 1 for the
    best."""


@dataclass(frozen=True)
class Answer:
    """What a field says to a question; plain data."""

    text: str
    score: float
    """Relevancy of the thing (`query.things`), or without instances the highest filtered one of a map, 0 to 1."""
    level: int
    """Index into segment.LEVELS."""
    presence: float
    """Share of things that are not here which would fit less well, 0 to 1 (`langfield.query.calibrate`)."""
    verdict: Verdict
    note: str
    """Why the verdict, in words."""
    view: str
    """Name of the view that shows it best."""
    camera: Camera
    """That view's camera at the size the answer was drawn."""
    peak_px: tuple[int, int]
    """Column and row of the peak in that view."""
    box_px: tuple[int, int, int, int] | None
    """x0 y0 x1 y1 of the mask's part around the peak; x1 and y1 exclusive."""
    position: tuple[float, float, float] | None
    """The peak in space, world units; None where nothing solid is there."""
    selection: Selection
    """The Gaussians that make it up."""
    mask: Bool[np.ndarray, "H W"]
    """Pixels that the thing's Gaussians make; without instances the part of LangSplat's mask that holds the peak."""
    relevancy: Float32[np.ndarray, "H W"]
    """Unfiltered relevancy at the answer's level."""
    colour: Float32[np.ndarray, "H W 3"]
    """The view as the field draws it, 0 to 1."""
    encoders: dict[str, Any]
    """Names of the image and text encoder, the latter with its provenance."""
    instance: int | None = None
    """The thing it is, a row of the field's instances; None where the answer was cut from a map."""

    def data(self) -> dict[str, Any]:
        """Give the answer as JSON data (without the maps; the mask run-length coded, COCO's order)."""
        return {
            "text": self.text,
            "score": round(self.score, 4),
            "presence": round(self.presence, 4),
            "verdict": self.verdict,
            "note": self.note,
            "level": LEVELS[self.level] if self.level < len(LEVELS) else str(self.level),
            "view": self.view,
            "view_size_px": [self.camera.width, self.camera.height],
            "peak_px": list(self.peak_px),
            "box_px": list(self.box_px) if self.box_px else None,
            "position_world": list(self.position) if self.position else None,
            **self.selection.data(),
            "instance": self.instance,
            "rows": self.selection.rows.tolist(),
            "mask": run_lengths(self.mask),
            "encoders": self.encoders,
        }


def ask(
    field: Field,
    views: Mapping[str, Camera],
    encoder: TextEncoder,
    text: str,
    settings: AskSettings = AskSettings(),
) -> Answer:
    """Search a field's views for a phrase and answer with the best one.

    Args:
        field: a field with a language part.
        views: camera per view name, such as those of the capture's frames.
        encoder: text encoder that goes with the field's image encoder.
        text: the phrase, at most 512 characters.
        settings: how hard to search.

    Raises:
        QueryError: the phrase cannot be asked, there is no view, or encoder and field do not fit.
    """
    dim = language_of(field)[1].dim
    calibrator = Calibrator(field, encode_vocabulary(encoder, dim))
    return answer(field, views, encode_phrases(encoder, [text], dim), calibrator, settings)


def answer(
    field: Field,
    views: Mapping[str, Camera],
    phrases: Phrases,
    calibrator: Calibrator,
    settings: AskSettings = AskSettings(),
) -> Answer:
    """Answer the first row of any question: words, a picture, a region, or one of several things.

    Things of the field are held against the question in space, and the best is drawn in the view that shows most of
    it; `langfield.query.things.see` draws it in any other. A field without instances is searched view by view: the map
    that peaks highest is cut into a mask.

    Args:
        field: a field with a language part.
        views: camera per view name, such as those of the capture's frames.
        phrases: the question; `Phrases.row` gives its other rows.
        calibrator: made of this field, once for all questions.
        settings: how hard to search.

    Raises:
        QueryError: there is no view, or the field has no language part.
    """
    phrases = phrases.row(0)
    place = _by_thing(field, views, phrases, settings) or _by_map(field, views, phrases, settings)
    peak, judged = place.peak, calibrator.judge(phrases)[0]
    return Answer(
        text=phrases.texts[0],
        score=peak.score,
        level=peak.level,
        presence=judged.score,
        verdict=judged.verdict,
        note=judged.note,
        view=place.view,
        camera=place.camera,
        peak_px=(peak.x, peak.y),
        box_px=box_of_mask(place.mask),
        position=place.position,
        selection=place.selection,
        mask=place.mask,
        relevancy=place.relevancy,
        colour=cast(Tensor, place.drawn.colour).detach().float().clamp(0, 1).cpu().numpy(),
        encoders={"image": field.provenance.get("image_encoder"), "text": phrases.encoder},
        instance=place.instance,
    )


@dataclass(frozen=True)
class _Place:
    """Where the answer is."""

    view: str
    camera: Camera
    drawn: View
    relevancy: Float32[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"]
    peak: Peak
    position: tuple[float, float, float] | None
    selection: Selection
    instance: int | None


def _by_thing(field: Field, views: Mapping[str, Camera], phrases: Phrases, settings: AskSettings) -> _Place | None:
    """Answer with the thing that all views together find best, in the view that shows most of it; None without one."""
    if field.instances is None or len(field.instances) == 0:
        return None
    fits = thing_scores(field, phrases)[0]
    instance = int(fits.argmax())
    selection = selection_of(field, instance)
    name = most_of(field, views, selection, Search(settings.max_views, settings.search_side_px, settings.enough))
    camera = fit_side(views[name], settings.answer_side_px)
    sight = see(field, [selection], camera)[0]
    if sight.peak_px is None:
        return None
    level = int(gaussian_relevancy(field, phrases, selection.rows)[0].mean(dim=1).argmax())
    maps, drawn = relevancy_view(field, camera, phrases, level, colour=True)
    peak = Peak(level, *sight.peak_px, float(fits[instance]))
    raw = maps[0, 0].cpu().numpy()
    position = _position(drawn, camera, peak)
    return _Place(name, camera, drawn, raw, sight.mask, peak, position, selection, instance)


def _by_map(field: Field, views: Mapping[str, Camera], phrases: Phrases, settings: AskSettings) -> _Place:
    """Answer with the view whose relevancy map peaks highest, cut by LangSplat's rule."""
    scores = gaussian_relevancy(field, phrases)[0]
    name, level = _best_view(field, views, scores, settings)
    camera = fit_side(views[name], settings.answer_side_px)
    maps, drawn = relevancy_view(field, camera, phrases, level, colour=True)
    raw = maps[0, 0].cpu().numpy()
    filtered = mean_filter(raw)
    peak = replace(find_peak(filtered[None]), level=level)
    mask = _part_at(cut_mask(raw, filtered), peak)
    position, selection = _position(drawn, camera, peak), Selection(np.zeros(0, np.int64), None)
    if position is not None:
        around = float(raw[peak.y, peak.x])
        selection = select_gaussians(field.gaussians, scores[level], np.array(position), around)
    return _Place(name, camera, drawn, raw, mask, peak, position, selection, None)


def _best_view(
    field: Field, views: Mapping[str, Camera], scores: Float[Tensor, "L N"], settings: AskSettings
) -> tuple[str, int]:
    """Give the view whose filtered relevancy peaks highest, and the level it does so at; the first of equals."""
    picked = spread_views(views, settings.max_views)
    best, best_score = (picked[0], 0), -1.0
    for name in picked:
        full = views[name]
        camera = fit_side(full, settings.search_side_px)
        window = max(1, round(FILTER_PX * camera.width / fit_side(full, settings.answer_side_px).width))
        peak = find_peak(mean_filter(blend_scores(field, camera, scores).cpu().numpy(), window))
        if peak.score > best_score + TIE:
            best, best_score = (name, peak.level), peak.score
    return best


def _part_at(mask: Bool[np.ndarray, "H W"], peak: Peak) -> Bool[np.ndarray, "H W"]:
    """Keep the part of a mask that holds the peak, or else the part nearest to it."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return mask
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    nearest = np.argmin((rows - peak.y) ** 2 + (columns - peak.x) ** 2)
    return labels == labels[rows[nearest], columns[nearest]]


def _position(view: View, camera: Camera, peak: Peak) -> tuple[float, float, float] | None:
    """Lift the peak into space at its expected depth."""
    alpha = float(view.alpha[peak.y, peak.x])
    if alpha < MIN_ALPHA:
        return None
    depth = float(view.depth[peak.y, peak.x]) / alpha
    pixel = torch.tensor([peak.x + 0.5, peak.y + 0.5, 1.0], dtype=torch.float64)
    in_camera = torch.linalg.solve(camera.K.double().cpu(), pixel) * depth
    pose = camera.T_world_camera.double().cpu()
    x, y, z = (pose[:3, :3] @ in_camera + pose[:3, 3]).tolist()
    return x, y, z


def run_lengths(mask: Bool[np.ndarray, "H W"]) -> dict[str, list[int]]:
    """Code a mask as COCO's uncompressed run lengths: column by column, starting with the count of False."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    counts = np.diff(edges).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if len(flat) and flat[0] else counts}
