"""What a query lost to segmentation, to the choice of a segment by text, and on the way through 3D."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int16

from langfield.evaluate.labels import Query, draw_mask
from langfield.evaluate.types import Features, Losses, Scored, Subject
from langfield.query.relevancy import encode_phrases, relevancy

GOOD_IOU = 0.5
"""An answer of at least this IoU went well enough to need no explanation."""


def find_losses(subject: Subject, queries: Sequence[Query], scores: Sequence[Scored]) -> tuple[Losses, ...]:
    """Compare the field's answers with what 2D features alone would say and could say.

    Args:
        subject: what was scored.
        queries: what was asked.
        scores: the field's, in the order of the queries.

    Returns:
        One entry per query whose frame has 2D features.
    """
    frames, found = {f.name: f for f in subject.frames}, []
    for name in dict.fromkeys(q.frame for q in queries):
        features = subject.features(frames[name])
        asked = [(q, s) for q, s in zip(queries, scores, strict=True) if q.frame == name]
        if features is not None and len(features[1]):
            limits = segment_limits(subject, features, [q for q, _ in asked])
            found += [Losses(name, q.text, *limit, s.iou) for limit, (q, s) in zip(limits, asked, strict=True)]
    return tuple(found)


def segment_limits(subject: Subject, features: Features, queries: Sequence[Query]) -> list[tuple[float, float]]:
    """Give, per query of one frame, the IoU of the best mask there is and of the segment the text scores highest."""
    ids, vectors = features
    phrases = encode_phrases(subject.encoder, [q.text for q in queries], vectors.shape[1])
    scored = relevancy(vectors.float(), phrases.positives, phrases.canonicals).numpy()  # Q M
    return [
        (best_available(ids, len(vectors), query), float(overlaps(ids, len(vectors), _truth(ids, query))[row.argmax()]))
        for query, row in zip(queries, scored, strict=True)
    ]


def best_available(ids: Int16[np.ndarray, "L H W"], many: int, query: Query) -> float:
    """Give the highest IoU a perfect choice reaches: one segment, or the best segment of each outline together."""
    whole = overlaps(ids, many, _truth(ids, query))
    chosen = np.zeros(ids.shape[1:], bool)
    for polygon in query.polygons:
        best = int(overlaps(ids, many, draw_mask([polygon], *ids.shape[1:])).argmax())
        chosen |= (ids == best).any(axis=0)
    truth = _truth(ids, query)
    union = int((chosen | truth).sum())
    return max(float(whole.max()), int((chosen & truth).sum()) / union if union else 0.0)


def overlaps(ids: Int16[np.ndarray, "L H W"], many: int, truth: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, " M"]:
    """Give the IoU of every segment with a mask; a segment lies on one level only."""
    inside = np.broadcast_to(truth, ids.shape)
    shared = np.bincount(ids[inside & (ids >= 0)], minlength=many)
    size = np.bincount(ids[ids >= 0], minlength=many)
    return shared / np.maximum(size + int(truth.sum()) - shared, 1)


def _truth(ids: Int16[np.ndarray, "L H W"], query: Query) -> Bool[np.ndarray, "H W"]:
    return draw_mask(query.polygons, *ids.shape[1:])


def explain(score: Scored, lost: Losses | None) -> str:
    """Say in a few words how a query went, and what went wrong where it did."""
    if score.iou >= GOOD_IOU:
        return "right"
    shape = _shape(score)
    if lost is None:
        return shape
    part = max((lost.segmentation, "segmentation"), (lost.choice, "choice"), (lost.lifting, "lifting"))[1]
    return {
        "segmentation": f"no mask covers it: the best one reaches {lost.best:.2f}",
        "choice": f"the text chose another segment: {lost.chosen:.2f} where {lost.best:.2f} was to be had",
        "lifting": f"lost on the way through 3D: the best-scoring segment has {lost.chosen:.2f}",
    }[part] + f"; {shape}"


def _shape(score: Scored) -> str:
    """Say how the answer's mask lies to the label."""
    look = score.look()
    if look is None:
        return f"IoU {score.iou:.2f}"
    shared, answer, truth = (int(m.sum()) for m in (look.answer & look.truth, look.answer, look.truth))
    if answer == 0:
        return "the answer is empty"
    if truth == 0:
        return "an answer to what is not there"
    if shared == 0:
        return "the answer lies elsewhere"
    if shared / answer < 0.5 <= shared / truth:
        times = f"{answer / truth:.1f}" if answer < 10 * truth else f"{answer / truth:.0f}"
        return f"the answer is too large ({times} times the label)"
    if shared / truth < 0.5 <= shared / answer:
        return f"the answer is too small ({shared / truth:.0%} of the label)"
    return "the answer overlaps little"
