"""What a text bridge reaches: held-out names against all real vectors, and labelled crops of a scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from langfield.artefacts import read_json
from langfield.errors import FormatError, SettingsError
from langfield.progress import track
from langfield.suite.bridge_train import Recipe, held_out_rows
from langfield.suite.crops import masked_crop
from langfield.suite.tables import Table, plain_name
from langfield.suite.types import ImageEncoder, TextEncoder

CROPS_A_BATCH = 8


@dataclass(frozen=True)
class Retrieval:
    """How well names are told apart among all names of the anchor table."""

    names: int
    cosine: float
    right: float
    """Share whose own real vector is the nearest of all."""
    among_five: float


def names_report(encoder: TextEncoder, tables: Sequence[Table], recipe: Recipe) -> dict[str, Any]:
    """Measure held-out names: all of them, one word, several words, and those that stand in no other table.

    Args:
        encoder: the bridge.
        tables: the tables it was trained from, anchors among them.
        recipe: the recipe it was trained with; its seed draws the same names again.

    Raises:
        SettingsError: no table has real vectors.
    """
    anchors = next((t for t in tables if t.target is not None), None)
    if anchors is None or anchors.target is None:
        raise SettingsError("no table holds vectors of the target space")
    rows = held_out_rows(len(anchors.names), recipe)
    elsewhere = {plain_name(n) for t in tables if t is not anchors for n in t.names}
    names = [anchors.names[i] for i in rows]
    several = np.array([" " in name.replace("_", " ") for name in names])
    listed = np.array([plain_name(name) in elsewhere for name in names])
    vectors = encoder.encode_texts(names).numpy()
    groups = {"all": slice(None), "one word": ~several, "several words": several, "in no other table": ~listed}
    return {key: _retrieval(vectors[pick], anchors.target, rows[pick]) for key, pick in groups.items()}


def _retrieval(vectors: Float[np.ndarray, "B D"], real: Float[np.ndarray, "N D"], rows: np.ndarray) -> Retrieval:
    scores = vectors @ real.T
    own = scores[np.arange(len(rows)), rows]
    rank = (scores > own[:, None]).sum(1)
    return Retrieval(len(rows), float(own.mean()), float((rank < 1).mean()), float((rank < 5).mean()))


def labelled_crops(scene: Path, masked: bool = True) -> tuple[list[str], list[UInt8[np.ndarray, "224 224 3"]]]:
    """Cut every labelled object out of a scene in the LERF-OVS layout.

    Args:
        scene: folder with `images/` and `label/*.json`.
        masked: blacken what lies outside the polygon.

    Raises:
        FormatError: no labels, or an image is missing.
    """
    names, crops = [], []
    for path in sorted((scene / "label").glob("*.json")):
        data = read_json(path)
        picture = scene / "images" / Path(data["info"]["name"]).name
        if not picture.is_file():
            raise FormatError("labels name a picture that is not there", picture)
        image = np.asarray(Image.open(picture).convert("RGB"))
        for item in data["objects"]:
            mask = _polygon(item["segmentation"], image.shape[:2])
            if not mask.any():
                continue
            ys, xs = np.nonzero(mask)
            box = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            names.append(item["category"])
            crops.append(masked_crop(image, mask if masked else np.ones_like(mask), box))
    if not names:
        raise FormatError("no labelled objects", scene / "label")
    return names, crops


def _polygon(points: Sequence[Sequence[float]], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    canvas = Image.new("L", (size[1], size[0]))
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(canvas).astype(bool)


def crops_report(
    text: TextEncoder, names: Sequence[str], vectors: Float[np.ndarray, "M D"]
) -> dict[str, float | list[str]]:
    """Compare crops and names both ways.

    Args:
        text: text encoder.
        names: what each crop is called.
        vectors: unit vector of each crop.
    """
    asked = sorted(set(names))
    scores = text.encode_texts(asked).numpy() @ vectors.T
    truth = np.array([asked.index(name) for name in names])
    best = scores.argmax(1)
    order = np.argsort(-scores, axis=0)
    wrong = [f"{n}: {names[best[i]]}" for i, n in enumerate(asked) if names[best[i]] != n]
    return {
        "names": float(len(asked)),
        "crops": float(len(names)),
        "name to best crop": float(np.mean([names[best[i]] == n for i, n in enumerate(asked)])),
        "crop to name": float((order[0] == truth).mean()),
        "crop to name, among three": float((order[:3] == truth).any(0).mean()),
        "wrong best crops": wrong,
    }


def embed_crops(crops: Sequence[np.ndarray], encoder: ImageEncoder) -> Float[np.ndarray, "M D"]:
    """Give one unit vector per crop, with a bar."""
    batches = [crops[i : i + CROPS_A_BATCH] for i in range(0, len(crops), CROPS_A_BATCH)]
    return np.concatenate([encoder.encode_images(batch).numpy() for batch in track(batches, "crops")])


def report_json(report: dict[str, Any]) -> str:
    """Give a report as JSON text."""
    return json.dumps(report, default=lambda value: value.__dict__, indent=1)
