"""How the first autoencoder of mode `online-langsplat` is taught: patches of pictures, and what words tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from langfield.artefacts import plain, write_bytes
from langfield.capture.images import read_picture
from langfield.codec.two_stage import StageOne
from langfield.codec.two_stage_fit import StageOneSettings, fit_stage_one, write_stage_one
from langfield.errors import SettingsError
from langfield.progress import track
from langfield.suite.dense import SIDE_PX
from langfield.suite.dense_card import StageOneFacts, StageOneTrial, stage_one_card
from langfield.suite.patches import patch_vectors, whole_pixels
from langfield.suite.vit import Vit

FILE, CARD = "stage_one.safetensors", "STAGE_ONE.md"
VIEWS, TEST_VIEWS = 24, 6
"""Pictures of a scene that are learned from, and measured on, at most, evenly spaced."""
AROUND = 3
"""Patches along the sides of what a mean is taken over, as the upsampler does."""


@dataclass(frozen=True)
class Seen:
    """Vectors of a scene's pictures."""

    name: str
    pictures: int
    vectors: Float[Tensor, "M D"]


def look_at(name: str, pictures: Sequence[Path], vit: Vit, most: int = VIEWS) -> Seen:
    """Take a scene's pictures, at most so many, through the tower: every patch, and every mean of 3 x 3 of them."""
    count = min(most, len(pictures))
    chosen = [pictures[i * len(pictures) // count] for i in range(count)]
    rows = []
    for path in track(chosen, f"patches of {name}"):
        pixels = whole_pixels(read_picture(path), SIDE_PX).to(vit.patch.device)
        rows.append(with_means(patch_vectors(vit, pixels).vectors.cpu()))
    return Seen(name, count, torch.cat(rows) if rows else torch.zeros(0, 512))


def with_means(grid: Float[Tensor, "D h w"]) -> Float[Tensor, "M D"]:
    """Give a picture's patches, then the unit means of all whole squares of them."""
    means = avg_pool2d(grid[None], AROUND, 1)[0] if min(grid.shape[1:]) >= AROUND else grid[:, :0]
    return torch.cat([grid.flatten(1).T, normalize(means, dim=0).flatten(1).T])


def teach_stage_one(
    taught: Sequence[Seen],
    tests: Sequence[Seen],
    out: Path,
    settings: StageOneSettings,
    words: Float[Tensor, "V D"] | None = None,
) -> StageOne:
    """Fit the first autoencoder to some scenes, measure it on others, and write its file and card.

    Args:
        taught: scenes.
        tests: other scenes.
        out: folder.
        settings: how it is fitted.
        words: vectors of words, for `fit_stage_one`.

    Raises:
        SettingsError: there is no picture to learn from.
    """
    if not any(len(s.vectors) for s in taught):
        raise SettingsError("the first autoencoder has no picture to learn from", remedy="name other scenes")
    stage = fit_stage_one(torch.cat([s.vectors for s in taught]), settings, words)
    stage = stage.eval().requires_grad_(False)
    trials = [StageOneTrial(s.name, True, **fidelity(stage, s.vectors)) for s in taught]
    trials += [StageOneTrial(s.name, False, **fidelity(stage, s.vectors)) for s in tests if len(s.vectors)]
    pictures = {s.name: s.pictures for s in taught}
    write_stage_one(out / FILE, stage, {"scenes": pictures, "settings": plain(settings), "trials": plain(trials)})
    facts = StageOneFacts(
        (out / FILE).stat().st_size,
        pictures,
        0 if words is None else len(words),
        settings.steps,
        settings.batch,
        settings.seed,
    )
    write_bytes(out / CARD, stage_one_card(facts, trials).encode())
    return stage


@torch.no_grad()
def fidelity(stage: StageOne, vectors: Float[Tensor, "M D"]) -> dict[str, float]:
    """Give the mean cosine of vectors and what comes back, whole and less the vectors' own mean."""
    back, mean = normalize(stage.decode(stage.encode(vectors)), dim=1), vectors.mean(dim=0)
    pairs = {"whole": (back, vectors), "centred": (back - mean, vectors - mean)}
    return {name: float(torch.cosine_similarity(a, b, dim=1).mean()) for name, (a, b) in pairs.items()}
