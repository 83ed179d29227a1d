"""The cards of a trained dense upsampler and of the first autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langfield.suite.dense import SIDE_PX
from langfield.suite.dense_train import Recipe

CARD = """# Dense CLIP features: the upsampler

**What it is.** `upsampler.safetensors` ({upsampler} bytes) turns the patches of OpenAI's CLIP ViT-B/16 (value
path of the last block, 1/16 of a picture whose longer side is {side} pixels) into a unit vector for every 4 × 4 pixels,
led by tokens of two early blocks and the picture itself. Half precision. The first autoencoder beside it has a card of
its own, STAGE_ONE.md.

**After** Online Language Splatting (arXiv 2503.09447). Theirs fuses stages of a ConvNeXt-L CLIP and was trained on COCO
and Omnidata; ours fuses what a plain vision transformer has, a small stem and early blocks, and was trained on the few
pictures below. Loss as theirs: 0.8 cosine + L1 + 0.01 total variation; {steps} steps.

**Targets.** Embeddings of segments (MobileSAM masks, CLIP of the masked crop, and the mean of the patches in the mask),
painted on their pixels.

**Trained on.** {data}. No other picture was seen.

**Measured** on scenes that took no part: mean IoU over the scene's names, every labelled pixel given the nearest name.

| held-out scene | trained on | seed | bilinear patches | upsampler |
|---|---|---|---|---|
{rows}

**Made by** `langfield weights dense SCENES --out DIR --test LABELLED_SCENES --steps {steps} --seed {seed}`.
"""
STAGE_ONE = """# The first autoencoder of mode `online-langsplat`

**What it is.** `stage_one.safetensors` ({size} bytes): vectors of OpenAI's CLIP ViT-B/16 to 32 numbers and back, half
precision. Layers 512-256-128-64-32 and 32-192-256-384-512, as in Online Language Splatting (arXiv 2503.09447,
Section 3.3).

**Unlike theirs** it first subtracts the mean of what it was taught (pictures share most of a CLIP vector's length, and
a loss on whole vectors is content to keep that), and it begins as principal components. The loss is theirs, squared
distance + 0.001 cosine distance{words}.

**Taught on** patches of whole pictures and means of 3 × 3 of them, in place of COCO: {data}.
{steps} steps of {batch}.

**Measured**: mean cosine of patches and of means with what comes back; centred: after the scene's own mean was taken
from both. 32 principal components fitted to one scene's own patches reach 0.78 to 0.81 centred, so 1 is out of reach.

| scene | | whole | centred |
|---|---|---|---|
{rows}

**Made by** `langfield weights stage-one SCENES --out DIR --test OTHER_SCENES --seed {seed}`, which takes up to
24 pictures of each scene; `langfield weights dense` makes it too.
"""


@dataclass(frozen=True)
class StageOneTrial:
    """What the first autoencoder keeps of a scene's vectors."""

    scene: str
    taught: bool
    """Whether it learned from this scene."""
    whole: float
    """Mean cosine."""
    centred: float
    """Mean cosine after the scene's mean was taken away."""


@dataclass(frozen=True)
class StageOneFacts:
    """What the card of a first autoencoder says beside its trials."""

    size: int
    """Bytes of the file."""
    pictures: Mapping[str, int]
    """Per scene that was learned from."""
    words: int
    """How many took part; 0 for none."""
    steps: int
    batch: int
    seed: int


def stage_one_card(facts: StageOneFacts, trials: Sequence[StageOneTrial]) -> str:
    """Write the card of a first autoencoder."""
    rows = [f"| {t.scene} | {'taught' if t.taught else 'left out'} | {t.whole:.3f} | {t.centred:.3f} |" for t in trials]
    data = ", ".join(f"{name} ({count} pictures)" for name, count in facts.pictures.items())
    words = f", more of it in the directions that {facts.words} words differ in" if facts.words else ""
    return STAGE_ONE.format(
        size=facts.size, words=words, steps=facts.steps, batch=facts.batch, seed=facts.seed, data=data,
        rows="\n".join(rows),
    )  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """What one training reached on a scene it never saw."""

    scene: str
    trained_on: tuple[str, ...]
    seed: int
    bilinear: float
    """Mean IoU of patch vectors brought up by bilinear interpolation."""
    learned: float
    """Mean IoU of the upsampler's."""


def card(size: int, data: Mapping[str, int], trials: Sequence[Trial], recipe: Recipe) -> str:
    """Write the card.

    Args:
        size: bytes of its file.
        data: pictures per scene that was trained on.
        trials: measurements.
        recipe: of these weights.
    """
    rows = [
        f"| {t.scene} | {', '.join(t.trained_on)} | {t.seed} | {t.bilinear:.3f} | {t.learned:.3f} |" for t in trials
    ]
    seen = ", ".join(f"{name} ({count} pictures)" for name, count in data.items())
    return CARD.format(
        upsampler=size, side=SIDE_PX, steps=recipe.steps, seed=recipe.seed, data=seen,
        rows="\n".join(rows) or "| (none) | | | | |",
    )  # fmt: skip
