"""Training of the text bridge: closed forms from start to end, a minute or two on one core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64

from langfield.artefacts import write_tensors
from langfield.errors import SettingsError
from langfield.suite.bridge import FILE, SentenceEncoder, Shape, pack_texts, regression_inputs, squared_distances
from langfield.suite.bridge_words import Lexicon, split_words
from langfield.suite.tables import Table, plain_name, spoken_name

TRANSLATION_RIDGE = 0.2
TARGET_WEIGHT, LOOKUP_WEIGHT, TRANSLATED_WEIGHT = 3.0, 2.0, 1.0
MAX_SUPPORT = 3000


@dataclass(frozen=True)
class Recipe:
    """What a training run is told beside its tables."""

    held_out: int = 240
    """Names of the anchor table that take no part, for the evaluation; 0 trains on all."""
    seed: int = 0
    """Draws the held-out names, and the training rows where there are too many."""
    shape: Shape = field(default_factory=Shape)
    licence: str = "research, non-commercial; see LICENSE beside the file"


@dataclass(frozen=True)
class _Rows:
    """Rows of the regression: what goes in, what should come out, how much a row counts."""

    texts: list[str]
    skips: list[str | None]
    targets: Float32[np.ndarray, "S D"]
    weights: Float64[np.ndarray, " S"]


def held_out_rows(count: int, recipe: Recipe) -> np.ndarray:
    """Draw the rows of the anchor table that take no part, sorted."""
    drawn = np.random.default_rng(recipe.seed).choice(count, recipe.held_out, replace=False)
    return np.sort(drawn)


def train(tables: Sequence[Table], sentences: SentenceEncoder, recipe: Recipe, folder: Path) -> Path:
    """Train a bridge and write its safetensors file.

    Args:
        tables: the first with a target column gives the anchors; those with only a source column are translated.
        sentences: MiniLM.
        recipe: held-out rows, seed, settings.
        folder: gets `bridge.safetensors`.

    Raises:
        SettingsError: no table leads to the target space, or too few names are left to train from.
    """
    anchors, kept = _anchors(tables, recipe)
    lexicon_names, vectors, mean = _lexicon(tables, anchors, kept)
    table = _compressed(vectors, recipe.shape.table_rank)
    lexicon = Lexicon({n: i for i, n in enumerate(lexicon_names)}, _restored(table))
    rows = _regression_rows(anchors, kept, lexicon, tables, mean, recipe)
    embedded = sentences.encode([spoken_name(t) for t in rows.texts]).numpy().astype(np.float16)
    gains, inverse_width = _solve(rows, embedded.astype(np.float32), lexicon, recipe.shape)
    target = _target(anchors)[kept]
    names = [plain_name(anchors.names[i]) for i in kept]
    single = {name: row for name, row in zip(names, target, strict=True) if names.count(name) == 1}
    arrays = {
        "mean": mean, "table": table[0], "table_scale": table[1], "basis": table[2],
        "table_names": pack_texts(lexicon_names), "anchors": np.stack(list(single.values())) - mean,
        "anchor_names": pack_texts(list(single)), "support_names": pack_texts(rows.texts),
        "support_skips": pack_texts([skip or "" for skip in rows.skips]), "support_sentences": embedded, "gains": gains,
    }  # fmt: skip
    half = {"anchors", "gains", "support_sentences"}
    tensors = {k: torch.from_numpy(v.astype(np.float16) if k in half else v) for k, v in arrays.items()}
    about = {
        "kind": "text bridge", "shape": asdict(recipe.shape), "inverse_width": inverse_width, "licence": recipe.licence,
        "radius": float(np.linalg.norm(target - mean, axis=1).mean()),
        "trained": _trained(tables, recipe, len(kept), len(rows.texts)),
    }  # fmt: skip
    write_tensors(folder / FILE, tensors, about)
    return folder / FILE


def _trained(tables: Sequence[Table], recipe: Recipe, kept: int, support: int) -> dict[str, Any]:
    return {
        "tables": {t.name: len(t.names) for t in tables},
        "held_out": recipe.held_out,
        "seed": recipe.seed,
        "anchors": kept,
        "regression_rows": support,
    }


def _target(table: Table) -> np.ndarray:
    if table.target is None:
        raise SettingsError("the anchor table has no target column", table.name)
    return table.target


def _anchors(tables: Sequence[Table], recipe: Recipe) -> tuple[Table, np.ndarray]:
    anchors = next((t for t in tables if t.target is not None), None)
    if anchors is None:
        raise SettingsError("no table holds vectors of the target space", remedy="write one: langfield weights table")
    if not 0 <= recipe.held_out < len(anchors.names) - 8:
        raise SettingsError(f"{recipe.held_out} of {len(anchors.names)} names cannot be held out")
    return anchors, np.setdiff1d(np.arange(len(anchors.names)), held_out_rows(len(anchors.names), recipe))


def _lexicon(
    tables: Sequence[Table], anchors: Table, kept: np.ndarray
) -> tuple[list[str], Float32[np.ndarray, "V D"], Float32[np.ndarray, " D"]]:
    """Give names and vectors (minus the mean) of all words and phrases that are not held-out anchors."""
    known = _target(anchors)[kept]
    mean = known.mean(0)
    names: dict[str, np.ndarray] = {}
    sources = {n: v for t in tables if t.target is None for n, v in _named(t, t.source)}
    if sources:
        shared = [i for i in kept if plain_name(anchors.names[i]) in sources]
        pairs = [(sources[plain_name(anchors.names[i])], _target(anchors)[i]) for i in shared]
        if anchors.source is not None:
            pairs += list(zip(anchors.source[kept], known, strict=True))
        translated = _translation(pairs)(np.stack(list(sources.values())))
        names = dict(zip(sources, translated / np.linalg.norm(translated, axis=1, keepdims=True), strict=True))
    for table in tables:
        if table.target is not None and table is not anchors:
            names |= dict(_named(table, table.target))
    if not names:  # a single table serves as both: its words anchor its phrases
        names = {plain_name(anchors.names[i]): _target(anchors)[i] for i in kept}
    return list(names), np.stack(list(names.values())).astype(np.float32) - mean, mean


def _named(table: Table, vectors: np.ndarray | None) -> list[tuple[str, np.ndarray]]:
    """Give (plain name, vector) of each row, the first of equal names only."""
    found: dict[str, np.ndarray] = {}
    for name, vector in zip(table.names, vectors if vectors is not None else (), strict=True):
        if plain_name(name):
            found.setdefault(plain_name(name), vector)
    return list(found.items())


def _translation(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Fit the ridge regression from the neighbouring space to the target space."""
    if len(pairs) < 8:
        raise SettingsError("too few names are common to both spaces", remedy="add a table that has both columns")
    source, target = (np.stack(side).astype(np.float64) for side in zip(*pairs, strict=True))
    centre, goal = source.mean(0), target.mean(0)
    gram = (source - centre).T @ (source - centre) + TRANSLATION_RIDGE * np.eye(source.shape[1])
    matrix = np.linalg.solve(gram, (source - centre).T @ (target - goal))
    return lambda rows: (rows - centre) @ matrix + goal


def _compressed(vectors: Float32[np.ndarray, "V D"], rank: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give 8-bit coordinates on the first principal axes, one scale a row, and the axes in half precision."""
    _, axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    basis = axes[:, ::-1][:, :rank].T.astype(np.float16)
    coordinates = vectors @ basis.astype(np.float32).T
    scale = (np.abs(coordinates).max(1) / 127 + 1e-9).astype(np.float32)
    return np.rint(coordinates / scale[:, None]).astype(np.int8), scale, basis


def _restored(table: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    return (table[0].astype(np.float32) * table[1][:, None]) @ table[2].astype(np.float32)


def _regression_rows(
    anchors: Table, kept: np.ndarray, lexicon: Lexicon, tables: Sequence[Table], mean: np.ndarray, recipe: Recipe
) -> _Rows:
    """Collect anchors (which may not find themselves as a phrase, and again where they may) and the tables' phrases."""
    rows: list[tuple[str, str | None, np.ndarray, float]] = []
    for i in kept:
        name, phrase = anchors.names[i], plain_name(anchors.names[i])
        rows.append((name, phrase, _target(anchors)[i] - mean, TARGET_WEIGHT))
        if " " in phrase and phrase in lexicon.rows:
            rows.append((name, None, _target(anchors)[i] - mean, LOOKUP_WEIGHT))
    for table in tables:
        for phrase in dict.fromkeys(map(plain_name, table.names)) if table is not anchors else ():
            if len(split_words(phrase)) > 1 and phrase in lexicon.rows:
                rows.append((phrase, phrase, lexicon.vectors[lexicon.rows[phrase]], TRANSLATED_WEIGHT))
    rows = list({(text, skip): row for row in rows for text, skip in [row[:2]]}.values())
    if len(rows) > MAX_SUPPORT:
        chosen = np.random.default_rng(recipe.seed).choice(len(rows), MAX_SUPPORT, replace=False)
        rows = [rows[i] for i in np.sort(chosen)]
    texts, skips, targets, weights = zip(*rows, strict=True)
    return _Rows(list(texts), list(skips), np.stack(targets), np.array(weights))


def _solve(
    rows: _Rows, sentences: Float32[np.ndarray, "S 384"], lexicon: Lexicon, shape: Shape
) -> tuple[Float32[np.ndarray, "S D"], float]:
    """Fit the kernel regression of what the mean of the words misses."""
    inputs, words = regression_inputs(list(zip(rows.texts, rows.skips, strict=True)), sentences, lexicon, shape)
    distances = squared_distances(inputs, inputs)
    inverse_width = 1 / (shape.width * float(np.median(distances)))
    kernel = np.exp(-inverse_width * distances).astype(np.float64) + np.diag(shape.noise / rows.weights)
    return np.linalg.solve(kernel, rows.targets - words).astype(np.float32), inverse_width
