"""What is measured: names taught by clicks, names asked by methods, things found again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.commands.use_bench.truth import NO_NAME, Truth
from langfield.errors import LangfieldError
from langfield.evaluate.absent import ABSENT_NAMES
from langfield.evaluate.absent_eval import auroc
from langfield.field.instances import Instances
from langfield.query.gather_clicks import thing_vectors, unlabelled
from langfield.query.heads import ask_head, head_of
from langfield.query.linking import PLAIN, finding, picture_items
from langfield.query.methods import By, ask_by, teach
from langfield.query.relevancy import Phrases
from langfield.query.things import thing_scores, things_of
from langfield.query.vocabulary import COMMON_NAMES
from langfield.scene import Scene
from langfield.suite.choose import choose
from langfield.suite.corpus import Caption
from langfield.suite.slots import NONE_OF_THESE, FewShotTask, Items

CLICKS = (1, 2, 4, 8)
TRIES = 50
TEXT = "text alone"
Drawn = list[tuple[int, int]]
"""Thing and name of each click."""


def located(truth: Truth, scores: Float[np.ndarray, "C I"]) -> dict[str, float]:
    """Score answers: the best thing a view shows, hit or missed; the best of the scene, its IoU.

    Args:
        truth: of the scene.
        scores: relevancy of every thing to every name of it.
    """
    hits, ious = list[bool](), list[float]()
    for look in truth.looks:
        overlap = look.ious()
        for row, name in enumerate(look.names):
            hits.append(look.hits(row, int(np.where(look.seen, scores[name], -1.0).argmax())))
            ious.append(float(overlap[row, int(scores[name].argmax())]))
    return {"localisation": float(np.mean(hits)), "mIoU": float(np.mean(ious))}


def named(truth: Truth, scores: Float[np.ndarray, "C I"], clicked: Sequence[int] = ()) -> dict[str, float]:
    """Score names of things that nobody clicked, and whether things without a name are told from those with one."""
    parts, fresh = truth.parts, ~np.isin(np.arange(len(truth.parts)), clicked)
    told, whole, none = fresh & (parts >= 0), truth.owner >= 0, fresh & (truth.owner == NO_NAME)
    best = scores.max(axis=0)
    return {
        "accuracy": float((scores[:, told].argmax(axis=0) == parts[told]).mean()) if told.any() else 0.0,
        "AUROC not here": auroc(best[whole], best[none]),
    }


def draw_clicks(truth: Truth, clicks: int, seed: int, things: Instances) -> Drawn:
    """Draw clicks at random pixels of labels; of the things seen there each means the one that a click chooses."""
    rng, found = np.random.default_rng(seed), dict[int, int]()
    for name in range(len(truth.names)):
        spots = [(look, row) for look in truth.looks for row, other in enumerate(look.names) if other == name]
        for _ in range(clicks):
            under = next(_under(rng, spots), None)
            if under is not None:
                found.setdefault(things.in_order(torch.tensor(under))[0], name)
    return list(found.items())


def _under(rng: np.random.Generator, spots: Sequence[Any]) -> Iterator[list[int]]:
    for _ in range(TRIES):
        look, row = spots[int(rng.integers(len(spots)))]
        ys, xs = np.nonzero(look.truth[row])
        if len(ys):
            at = int(rng.integers(len(ys)))
            things = np.flatnonzero(look.masks[:, ys[at], xs[at]]).tolist()
            if things:
                yield things


@dataclass(frozen=True)
class Lesson:
    """How names are taught."""

    method: str
    clicks: int
    """Of each name."""
    none: bool
    """Whether four times as many things without a name are clicked as none of the names."""
    spread: int
    """Gaussians of each clicked thing that are examples beside it."""
    seed: int


def taught(scene: Scene, truth: Truth, lesson: Lesson) -> dict[str, Any]:
    """Teach all names by clicks.

    Returns:
        localisation, mIoU, accuracy, AUROC not here, examples and seconds; or why the method refuses.
    """
    field, names = scene.run.field, scene.question(truth.names)
    drawn = draw_clicks(truth, lesson.clicks, lesson.seed, things_of(field))
    rng, chosen = np.random.default_rng(lesson.seed + 1000), choose("teach", lesson.method)
    others = np.flatnonzero(truth.owner == NO_NAME)
    many = min(4 * lesson.clicks, len(others) // 2) if lesson.none else 0
    drawn += [(int(thing), NONE_OF_THESE) for thing in rng.choice(others, many, replace=False)]
    task = _task(scene, names, drawn, lesson.spread)
    if getattr(chosen.module, "UNLABELLED", False):
        task = unlabelled(field, task)
    start = time.process_time()
    try:
        head = teach(task, lesson.method, scene.model)
    except LangfieldError as error:
        return {"refuses": str(error)}
    seconds = time.process_time() - start
    scores = thing_scores(field, ask_head(head, scene.dim)).numpy()
    found = located(truth, scores) | named(truth, scores, [thing for thing, _ in drawn])
    return {**found, "examples": len(task.labels), "cpu_s": round(seconds, 3)}


def _task(scene: Scene, names: Phrases, drawn: Drawn, spread: int) -> FewShotTask:
    rows = [thing_vectors(scene.run.field, thing, spread) for thing, _ in drawn]
    labels = [torch.full((len(part),), name) for part, (_, name) in zip(rows, drawn, strict=True)]
    return FewShotTask(torch.cat(rows), torch.cat(labels), names.texts, names.positives, names.canonicals)


def text_alone(scene: Scene, truth: Truth) -> dict[str, Any]:
    """Score the names as they are."""
    question = scene.question(truth.names)
    scores = thing_scores(scene.run.field, ask_head(head_of(question), scene.dim)).numpy()
    return located(truth, scores) | named(truth, scores) | {"AUROC absent": _absent(scene, truth, None)}


def asked(scene: Scene, truth: Truth, method: str, writer: str) -> dict[str, Any]:
    """Score the names asked by a method; or say why it refuses."""
    by = By(method, writer)
    try:
        question = ask_by(scene.run.field, scene.text_encoder, truth.names, by)
    except LangfieldError as error:
        return {"refuses": str(error)}
    if len(question) != len(truth.names):
        return {"refuses": "its texts are one question"}
    scores = thing_scores(scene.run.field, question).numpy()
    found = located(truth, scores) | named(truth, scores)
    if writer.startswith("file:"):  # which says nothing of absent names: they would be asked another way
        return found
    return found | {"AUROC absent": _absent(scene, truth, by)}


def _absent(scene: Scene, truth: Truth, by: By | None) -> float:
    """Tell labelled names from absent ones by the calibrated score."""
    absent = [name for name in ABSENT_NAMES if name not in truth.names]
    names = [*truth.names, *absent]
    asked = scene.question(names, by=by)
    scores = np.array([one.score for one in scene.calibrator.judge(asked)])
    return auroc(scores[: len(truth.names)], scores[len(truth.names) :])


def found_again(scene: Scene, method: str, seed: int) -> dict[str, Any]:
    """Find things by their looks in the other half of the views; methods that learn, learn from half of the things.

    Returns:
        R@1 and R@5 over the things that were not learnt from, how many, and seconds; or why the method refuses.
    """
    field, called = scene.run.field, scene.question(COMMON_NAMES)
    pairs, things = scene.pairs({i: (Caption("thing"),) for i in range(len(things_of(field)))}), things_of(field)
    if pairs.vectors is None or pairs.instances is None:
        raise ValueError("pairs of a scene have vectors and numbers")
    items = replace(picture_items(pairs.vectors, called), labels=pairs.instances)
    learnt = np.random.default_rng(seed).permutation(len(things))[: len(things) // 2]
    mine = torch.isin(pairs.instances, torch.from_numpy(learnt))
    halves = [picture_items(half, called) for half in _halves(pairs.vectors, pairs.instances, ~mine)]
    start = time.process_time()
    try:
        model = scene.model if method != PLAIN and choose("find", method).needs("model") else None
        scores = finding(method, _rows(items, mine), model).scores(halves[0], halves[1])
    except LangfieldError as error:
        return {"refuses": str(error)}
    order = scores.argsort(dim=1, descending=True)
    rank = (order == torch.arange(len(scores))[:, None]).int().argmax(dim=1)
    seconds = round(time.process_time() - start, 3)
    return {"R@1": float((rank == 0).float().mean()), "R@5": float((rank < 5).float().mean()), "things": len(rank),
            "cpu_s": seconds}  # fmt: skip


def _rows(items: Items, kept: Tensor) -> Items:
    words, labels = items.text_vectors, items.labels
    texts = tuple(text for text, keep in zip(items.texts or (), kept.tolist(), strict=True) if keep)
    return Items(items.vectors[kept], texts, None if words is None else words[kept],
                 None if labels is None else torch.unique(labels[kept], return_inverse=True)[1])  # fmt: skip


def _halves(vectors: Tensor, labels: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Give the mean look of each thing over every other of its views, and over the rest."""
    halves: tuple[list[Tensor], list[Tensor]] = ([], [])
    for thing in torch.unique(labels[kept]):
        rows = torch.nonzero(labels == thing)[:, 0]
        if len(rows) > 1:
            for half in (0, 1):
                halves[half].append(vectors[rows[half::2]].mean(dim=0))
    return normalize(torch.stack(halves[0]), dim=1), normalize(torch.stack(halves[1]), dim=1)
