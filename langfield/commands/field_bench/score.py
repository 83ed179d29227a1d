"""What is asked of every row: the labels by both protocols, names of absent things, and how long an answer takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from langfield.commands.field_bench.rows import lift_views
from langfield.commands.field_bench.scene import Scene
from langfield.commands.field_bench.things import with_things
from langfield.evaluate.absent_eval import Scoring, evaluate_absent, peak_relevancy
from langfield.evaluate.answers import score_things
from langfield.evaluate.lerf3d import score_selections, select_by_range
from langfield.evaluate.sources import score_field
from langfield.evaluate.types import Selector
from langfield.field.types import Field
from langfield.query.calibrate import presence
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.image import language_of, relevancy_maps
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.query.similarity import StillView
from langfield.query.things import select

FLAT, SOLID = "lerf-ovs-2d", "lerf-ovs-3d"
REPEATS = 5
LONG_ENOUGH_S = 5.0
SELECTORS: Mapping[str, Selector] = {
    "range": select_by_range,
    "things": lambda field, phrases: [found.rows for found in select(field, phrases)],
}
"""How Gaussians are selected for a text, by the name in the table."""
RULES = ("range", "things")
"""Which of them is the baseline's own, and which ours."""


def score_row(scene: Scene, field: Field) -> dict[str, Any]:
    """Score a field by both protocols.

    Returns:
        `lerf-ovs-2d`, of the map and of the things answered: frame, text, hit and IoU of each query; `lerf-ovs-3d`, by
        name of a selection: frame, text, IoU and Gaussians of each; `absent`: `score_absent`; `things`: how many.
    """
    frames, labels = scene.capture.frames, scene.labels
    field = field if field.instances is not None else with_things(field, scene, lift_views(scene))
    subject = scene.subject(field)
    flat = {"map": score_field(field, frames, labels, scene.encoder), "things": score_things(subject, labels.queries)}
    solid = {name: score_selections(subject, labels.queries, selector) for name, selector in SELECTORS.items()}
    return {
        FLAT: {n: [[s.frame, s.text, int(s.hit), round(s.iou, 5)] for s in found] for n, found in flat.items()},
        SOLID: {n: [[s.frame, s.text, round(s.iou, 5), s.gaussians] for s in found] for n, found in solid.items()},
        "absent": score_absent(scene, field), "things": len(field.instances or ()),
    }  # fmt: skip


def score_absent(scene: Scene, field: Field) -> dict[str, float]:
    """Give the AUROC of labelled names against absent ones, by what scores them."""
    names = [q.text for q in scene.labels.queries]
    scorings: Mapping[str, Scoring] = {
        "peak relevancy": peak_relevancy(field, scene.encoder),
        "calibrated": lambda texts: presence(field, scene.encoder, texts),
    }
    return {f"AUROC, {name}": evaluate_absent(scoring, name, names).auroc for name, scoring in scorings.items()}


def time_queries(scene: Scene, field: Field) -> Mapping[str, float]:
    """Measure a text query, medians in ms; the text is encoded beforehand.

    Returns:
        `drawn_ms`: relevancy of every pixel of a labelled view at full size; `again_ms`: the next question to the same
        view; `gaussians_ms`: relevancy of every Gaussian.
    """
    dim = language_of(field)[1].dim
    asked = scene.labels.queries[0]
    camera = next(f.camera for f in scene.capture.frames if f.name == asked.frame)
    texts = list(dict.fromkeys(q.text for q in scene.labels.queries))[: REPEATS + 1]
    phrases = [encode_phrases(scene.encoder, [text], dim) for text in texts]
    drawn = _median_ms(lambda one: relevancy_maps(field, camera, one), phrases)
    again = drawn
    if language_of(field)[1].linear:
        still = StillView(field, camera)
        again = _median_ms(still.maps, phrases)
    return {
        "drawn_ms": drawn, "again_ms": again,
        "gaussians_ms": _median_ms(lambda one: gaussian_relevancy(field, one), phrases),
    }  # fmt: skip


def _median_ms(ask: Callable[[Phrases], object], phrases: list[Phrases]) -> float:
    """Ask one question after the other, five or until they took long enough; the first warms up."""
    seconds: list[float] = []
    for one in phrases:
        start = time.perf_counter()
        ask(one)
        seconds.append(time.perf_counter() - start)
        if len(seconds) > 1 and sum(seconds) > LONG_ENOUGH_S:
            break
    return 1000 * median(seconds[1:] or seconds)
