"""Asking the things of a scene: which fit a phrase, in space and not in one view; which is under a pixel; their names.

A thing's vector is what all its views agree on, and its fit is drawn towards what fits by chance as far as few views
saw it: of many things seen once or twice the luckiest would win otherwise (empirical Bayes; Efron and Morris 1975).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.instances import Instances
from langfield.field.types import Field
from langfield.query.gaussians import RANGE_SHARE, Selection, gaussian_relevancy, make_selection, select_gaussians
from langfield.query.image import MIN_ALPHA, innermost
from langfield.query.relevancy import NEUTRAL, TEMPERATURE, Phrases
from langfield.raster import RasterOptions, scatter_segments, splat_channels, to_screen, top_contributors

LEAST_SHARE = 0.1
"""A thing is seen in a view that shows at least this share of its Gaussians."""
LEAST_PX = 30.0
"""And at least so many pixels of it, at the size of the view."""
SAME_PLACE = 0.5
"""A thing that shares more than this of its Gaussians with larger ones that pass too is a part of them."""
MANY_NAMES, MANY_THINGS = 100, 20
"""In a list of so many names and a scene of so many things it shows which names fit everything."""
NEAR_PX = 8
"""Gaussians asked at a clicked pixel."""


@dataclass(frozen=True)
class Thing:
    """An instance as an answer; plain data."""

    instance: int
    """Its number in the field's instances."""
    score: float
    """Relevancy 0 to 1, above 0.5 where it fits better than all negatives; drawn towards chance."""
    name: str
    """What was asked, or which of the names it fits best."""
    views: int
    """How many views showed it."""
    selection: Selection

    def data(self) -> dict[str, Any]:
        """Give it as JSON data."""
        return {
            "instance": self.instance,
            "name": self.name,
            "score": round(self.score, 4),
            "views": self.views,
            **self.selection.data(),
        }


@dataclass(frozen=True)
class Sight:
    """Selected Gaussians as one view shows them, what hides them taken into account."""

    mask: Bool[np.ndarray, "H W"]
    box_px: tuple[int, int, int, int] | None
    """x0 y0 x1 y1, x1 and y1 exclusive; None where nothing of it is seen."""
    peak_px: tuple[int, int] | None
    """Column and row of the pixel farthest inside the mask."""


def things_of(field: Field) -> Instances:
    """Give a field's instances.

    Raises:
        QueryError: it has none.
    """
    if field.instances is None or len(field.instances) == 0:
        raise QueryError("this field has no instances", remedy="train it with language mode lift")
    return field.instances


@torch.no_grad()
def thing_scores(field: Field, phrases: Phrases) -> Float[Tensor, "Q I"]:
    """Give the relevancy of every thing to every row of a question, 0 to 1, drawn towards chance.

    Raises:
        QueryError: the field has no instances.
    """
    things, head = things_of(field), phrases.head
    if head is not None:
        return torch.sigmoid(head.scale * _shrunk(head.margins(things.score), things)).T
    margin = things.score(phrases.positives) - things.score(phrases.canonicals).amax(dim=1, keepdim=True)  # I P
    return phrases.join(torch.sigmoid(TEMPERATURE * _shrunk(margin, things)).T)


def _shrunk(margin: Float[Tensor, "I P"], things: Instances) -> Float[Tensor, "I P"]:
    chance = margin.mean(dim=0, keepdim=True)
    return chance + (margin - chance) * things.reliability[:, None]


def select(field: Field, phrases: Phrases) -> list[Selection]:
    """Give the Gaussians of what fits each row of a question best, whatever the view.

    The best thing where the field has instances; else the relevant Gaussians that touch around the most relevant one.

    Args:
        field: one with a language part.
        phrases: the question.

    Returns:
        Rows, box and centroid in the capture's own units, one selection per row of the question.

    Raises:
        QueryError: the field has no language part.
    """
    if field.instances is None or len(field.instances) == 0:
        return [_select_around_best(field, scores) for scores in gaussian_relevancy(field, phrases)]
    return [selection_of(field, int(row.argmax())) for row in thing_scores(field, phrases)]


def selection_of(field: Field, instance: int) -> Selection:
    """Give the Gaussians of one thing."""
    rows = things_of(field).gaussians(instance).long().numpy()
    return make_selection(field.gaussians, rows)


def _select_around_best(field: Field, scores: Float[Tensor, "L N"]) -> Selection:
    tops = scores.double().quantile(0.999, dim=1) if scores.shape[1] < 2**24 else scores.amax(dim=1)
    level = int(tops.argmax())
    best = field.gaussians.means[int(scores[level].argmax())].detach().cpu().double().numpy()
    return select_gaussians(field.gaussians, scores[level], best, float(tops[level]))


def select_rows(field: Field, phrases: Phrases) -> list[Int64[np.ndarray, " S"]]:
    """Give the row numbers of `select`."""
    return [selection.rows for selection in select(field, phrases)]


def find_things(field: Field, phrases: Phrases) -> list[list[Thing]]:
    """Give all things that each row of a question names, best first: `len` of one is how many there are.

    A thing passes where it fits better than the negatives and lies in the upper three tenths of the range from the
    scene's average to its best; what lies inside a larger one that passes is a part of that and does not count.

    Args:
        field: one with instances.
        phrases: the question.

    Raises:
        QueryError: the field has no instances.
    """
    scores = thing_scores(field, phrases)
    return [_passing(field, row, text) for row, text in zip(scores, phrases.texts, strict=True)]


def _passing(field: Field, scores: Float[Tensor, " I"], text: str) -> list[Thing]:
    low, high = float(scores.mean()), float(scores.max())
    passing = torch.nonzero(scores > max(NEUTRAL, low + RANGE_SHARE * (high - low)))[:, 0].tolist()
    things, kept = things_of(field), list[int]()
    taken = torch.zeros(len(field.gaussians), dtype=torch.bool)
    for i in passing:  # the largest first, as things are numbered
        own = things.gaussians(i).long()
        if int(taken[own].sum()) <= SAME_PLACE * len(own):
            kept.append(i)
            taken[own] = True
    kept.sort(key=lambda i: -float(scores[i]))
    return [_thing(field, i, float(scores[i]), text) for i in kept]


def _thing(field: Field, instance: int, score: float, name: str) -> Thing:
    return Thing(instance, score, name, int(things_of(field).views[instance]), selection_of(field, instance))


def name_things(field: Field, names: Phrases) -> list[Thing]:
    """Give every thing with the name of a vocabulary that fits it best, and that name's relevancy.

    Args:
        field: one with instances.
        names: one row per name.

    Raises:
        QueryError: the field has no instances.
    """
    scores = thing_scores(field, names)
    return [
        _thing(field, i, float(scores[row, i]), names.texts[row])
        for i, row in enumerate(which_names(field, scores).tolist())
    ]


def which_names(field: Field, scores: Float[Tensor, "Q I"]) -> Int64[Tensor, " I"]:
    """Give the row of the name that fits each thing best.

    Some names of a long list lie near everything (hubs; Radovanovic et al. 2010), so that a third of the tabletop's
    things would be maracas: there each name counts by how much better it fits this thing than it fits the others.

    Args:
        field: one with instances.
        scores: of names, as `thing_scores` gives them.

    Raises:
        QueryError: the field has no instances.
    """
    often = things_of(field).often
    if len(scores) >= MANY_NAMES and int(often.sum()) >= MANY_THINGS:
        scores = scores - scores[:, often].mean(dim=1, keepdim=True)
    return scores.argmax(dim=0)


@torch.no_grad()
def things_at(field: Field, camera: Camera, x: int, y: int) -> list[int]:
    """Give the things under a pixel: a click chooses the first, another click the next (`Instances.in_order`).

    Args:
        field: one with instances.
        camera: the view.
        x: column, pixels.
        y: row, pixels.

    Raises:
        QueryError: the field has no instances, or the pixel lies outside the view.
    """
    things = things_of(field)
    if not (0 <= x < camera.width and 0 <= y < camera.height):
        raise QueryError(f"pixel {x} {y} lies outside the view", f"{camera.width} x {camera.height} pixels")
    around = pixel_camera(camera, x, y)
    ids, weights = top_contributors(to_screen(field.gaussians, around, RasterOptions(colour=False)), NEAR_PX)
    light = torch.zeros(len(field.gaussians)).index_add_(
        0, ids[0, 0].clamp_min(0).long().cpu(), weights[0, 0].float().cpu()
    )
    if float(light.sum()) < MIN_ALPHA:
        return []
    held = torch.zeros(len(things)).index_add_(0, things.owner, light[things.rows.long()])
    return things.in_order(torch.nonzero(held > 0.5 * light.sum())[:, 0])


def pixel_camera(camera: Camera, x: int, y: int) -> Camera:
    """Give the one-pixel view of a pixel."""
    K = camera.K.clone()
    K[0, 2] -= x
    K[1, 2] -= y
    return Camera(K, 1, 1, camera.T_world_camera)


@torch.no_grad()
def seen_things(field: Field, camera: Camera) -> Bool[Tensor, " I"]:
    """Tell which things a view shows: enough pixels, and enough of their Gaussians, not hidden."""
    things, everywhere = things_of(field), torch.zeros(camera.height, camera.width, dtype=torch.int32)
    screen = to_screen(field.gaussians, camera, RasterOptions(colour=False))
    found = scatter_segments(screen, everywhere.to(field.gaussians.means.device))
    light = torch.zeros(len(field.gaussians)).index_add_(0, found.gaussian.cpu(), found.weight.float().cpu())
    own = light[things.rows.long()]
    pixels = torch.zeros(len(things)).index_add_(0, things.owner, own)
    share = torch.zeros(len(things)).index_add_(0, things.owner, (own >= 1.0).float()) / things.sizes
    return (pixels >= LEAST_PX) & (share >= LEAST_SHARE)


def best_in_view(field: Field, camera: Camera, phrases: Phrases) -> list[Thing | None]:
    """Give, for every row of a question, the best of the things that a view shows; None where it shows none.

    Raises:
        QueryError: the field has no instances.
    """
    seen = seen_things(field, camera)
    if not seen.any():
        return [None] * len(phrases)
    scores = torch.where(seen, thing_scores(field, phrases), -1.0)
    best = scores.max(dim=1)
    rows = zip(best.indices.tolist(), best.values.tolist(), phrases.texts, strict=True)
    return [_thing(field, i, score, text) for i, score, text in rows]


@torch.no_grad()
def see(field: Field, selections: Sequence[Selection], camera: Camera) -> list[Sight]:
    """Give mask, box and inner point of selections in any view.

    A pixel belongs to a selection whose Gaussians make more than half of it.

    Args:
        field: the field that the rows belong to.
        selections: of its Gaussians.
        camera: the view.
    """
    if not selections:
        return []
    chosen = torch.zeros(len(field.gaussians), len(selections) + 1)
    chosen[:, -1] = 1.0
    for column, selection in enumerate(selections):
        chosen[torch.from_numpy(selection.rows), column] = 1.0
    screen = to_screen(field.gaussians, camera, RasterOptions(colour=False))
    drawn = splat_channels(screen, chosen.to(field.gaussians.means)).cpu()
    masks = (drawn[..., :-1] > 0.5 * drawn[..., -1:].clamp_min(0.5)).numpy()
    return [sight_of(masks[..., i]) for i in range(len(selections))]


def sight_of(mask: Bool[np.ndarray, "H W"]) -> Sight:
    """Give a mask with its box and inner point."""
    if not mask.any():
        return Sight(mask, None, None)
    y, x = innermost(mask)
    return Sight(mask, box_of_mask(mask), (x, y))


def box_of_mask(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int, int, int] | None:
    """Give x0 y0 x1 y1 around a mask, x1 and y1 exclusive; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
