"""The card of a trained dense upsampler and first autoencoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langfield.suite.dense import SIDE_PX
from langfield.suite.dense_train import Recipe

CARD = """# Dense CLIP features: upsampler and first autoencoder

**What they are.** `upsampler.safetensors` ({upsampler} bytes) turns the patches of OpenAI's CLIP ViT-B/16 (value
path of the last block, 1/16 of a picture whose longer side is {side} pixels) into a unit vector for every 4 × 4 pixels,
led by tokens of two early blocks and the picture itself. `stage_one.safetensors` ({stage_one} bytes) is the first of
the two autoencoders of mode `online-langsplat`: 512 numbers to 32 and back. Half precision.

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


def card(sizes: Mapping[str, int], data: Mapping[str, int], trials: Sequence[Trial], recipe: Recipe) -> str:
    """Write the card.

    Args:
        sizes: bytes of the files, by "upsampler" and "stage_one".
        data: pictures per scene that was trained on.
        trials: measurements.
        recipe: of these weights.
    """
    rows = [
        f"| {t.scene} | {', '.join(t.trained_on)} | {t.seed} | {t.bilinear:.3f} | {t.learned:.3f} |" for t in trials
    ]
    seen = ", ".join(f"{name} ({count} pictures)" for name, count in data.items())
    return CARD.format(
        **sizes, side=SIDE_PX, steps=recipe.steps, seed=recipe.seed, data=seen,
        rows="\n".join(rows) or "| (none) | | | | |",
    )  # fmt: skip
