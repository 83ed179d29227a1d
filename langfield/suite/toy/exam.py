"""What a toy CLIP, or any other, can do in the toy world, on scenes that nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from langfield.suite.bench.blind import pair_score
from langfield.suite.bench.compositional import swap_accuracy
from langfield.suite.bench.retrieval import both_ways, modality_gap
from langfield.suite.bench.zero_shot import accuracy, class_vectors
from langfield.suite.openclip import OpenClip
from langfield.suite.toy.captions import Captions, caption, say, say_german
from langfield.suite.toy.claims import Claim, Phrase
from langfield.suite.toy.draw import draw
from langfield.suite.toy.model import PATCH_PX, Toy
from langfield.suite.toy.scenes import SIDE_PX, Scene, make_scene
from langfield.suite.toy.words import COLOURS, SHAPES, TEMPLATES
from langfield.suite.types import ImageEncoder, TextEncoder

COVERED = 0.5  # share of a patch from which on it is asked what it shows


@dataclass(frozen=True)
class Pupil:
    """An image encoder and a text encoder of one space."""

    images: ImageEncoder
    texts: TextEncoder

    def look(self, scenes: Sequence[Scene]) -> Float[Tensor, "N D"]:
        """Give the vectors of drawn scenes."""
        return self.images.encode_images([draw(scene).picture for scene in scenes])


def examine(toy: Toy, count: int = 400, first_seed: int = 0) -> dict[str, float]:
    """Give all scores of a toy CLIP: those of `world_scores` and what its patches say."""
    encoder = OpenClip(f"toy:{toy.name}", toy.model, toy.transform, toy.tokenizer)
    scores = world_scores(Pupil(encoder, encoder), count, first_seed)
    return {**scores, "patches": round(patch_accuracy(toy, count // 4, first_seed), 4)}


def world_scores(pupil: Pupil, count: int = 400, first_seed: int = 0) -> dict[str, float]:
    """Examine encoders in the toy world.

    Args:
        pupil: the encoders.
        count: scenes of each part.
        first_seed: of the scenes; those that toy CLIPs are trained on begin at a million.

    Returns:
        zero_shot (64 names) and german (the same in German), retrieval both ways, attributes and roles (swapped
        captions, chance 0.5), mirrored (MMVP pairs, chance 0.25), gap (distance of the two means).
    """
    single = [make_scene(seed, 1) for seed in range(first_seed, first_seed + count)]
    pairs = [make_scene(seed, 2) for seed in range(first_seed + count, first_seed + 2 * count)]
    seen, images, said = pupil.look(single), pupil.look(pairs), [caption(scene) for scene in pairs]
    short = pupil.texts.encode_texts([c.short for c in said])
    found = both_ways(images, short, torch.arange(count))
    scores = {
        "zero_shot": _named(pupil, seen, single, german=False), "german": _named(pupil, seen, single, german=True),
        "text_to_image_1": found["text_to_image"][1], "image_to_text_1": found["image_to_text"][1],
        "attributes": swap_accuracy(images, short, _said(pupil, said, "attributes_swapped")),
        "roles": swap_accuracy(images, short, _said(pupil, said, "roles_swapped")),
        "mirrored": mirrored_score(pupil, pairs), "gap": modality_gap(images, short),
    }  # fmt: skip
    return {name: round(score, 4) for name, score in scores.items()}


def mirrored(scene: Scene) -> Scene:
    """Give the scene with left and right exchanged, and top and bottom: every relation turns round."""
    turned = tuple(replace(t, x=SIDE_PX - t.x, y=SIDE_PX - t.y) for t in scene.things)
    return replace(scene, things=turned)


def mirrored_score(pupil: Pupil, scenes: Sequence[Scene]) -> float:
    """Give MMVP's score of scenes of two things and their mirrored twins."""
    both = [[scene, mirrored(scene)] for scene in scenes]
    images = torch.stack([pupil.look([pair[i] for pair in both]) for i in (0, 1)], 1)
    texts = [pupil.texts.encode_texts([caption(pair[i]).short for pair in both]) for i in (0, 1)]
    return pair_score(images, torch.stack(texts, 1), ["mirrored"] * len(both))["mean"]


@torch.inference_mode()
def patch_accuracy(toy: Toy, count: int = 100, first_seed: int = 0) -> float:
    """Give the share of patches mostly covered by one thing whose projected token lies nearest to its name, of 64."""
    scenes = [make_scene(seed) for seed in range(first_seed, first_seed + count)]
    drawn = [draw(scene) for scene in scenes]
    tokens = patch_vectors(toy.model, toy_pixels([d.picture for d in drawn]))
    names = [say(Claim(Phrase(shape, colour))) for shape, colour in product(SHAPES, COLOURS)]
    scores = tokens @ toy.model.encode_text(toy.tokenizer(names), normalize=True).T
    labels = torch.stack([_patch_labels(scene, d.ids) for scene, d in zip(scenes, drawn, strict=True)])
    return accuracy(scores[labels >= 0], labels[labels >= 0])


def patch_vectors(model: Any, pixels: Float[Tensor, "B 3 64 64"]) -> Float[Tensor, "B P D"]:
    """Give the unit vectors of patches: last tokens, normed and projected as the class token is."""
    before = model.visual.output_tokens
    model.visual.output_tokens = True
    try:
        _, tokens = model.visual(pixels)
    finally:
        model.visual.output_tokens = before
    return F.normalize(tokens @ model.visual.proj, dim=2)


def toy_pixels(pictures: Sequence[np.ndarray]) -> Float[Tensor, "B 3 64 64"]:
    """Give pictures of 64 x 64 as the network takes them."""
    from langfield.suite.toy.train import pixels

    return pixels(torch.from_numpy(np.stack(pictures)))


def _patch_labels(scene: Scene, ids: np.ndarray) -> Tensor:
    """Give the place of each patch's name among the 64, -1 where no thing covers enough of it."""
    side = SIDE_PX // PATCH_PX
    labels = np.full(side * side, -1)
    for index, thing in enumerate(scene.things):
        cover = (ids == index).reshape(side, PATCH_PX, side, PATCH_PX).mean((1, 3)).ravel()
        labels[cover >= COVERED] = SHAPES.index(thing.shape) * len(COLOURS) + list(COLOURS).index(thing.colour)
    return torch.from_numpy(labels)


def _named(pupil: Pupil, seen: Float[Tensor, "N D"], scenes: Sequence[Scene], german: bool) -> float:
    """Give 64-way accuracy over colour and shape."""
    claims = [Claim(Phrase(shape, colour)) for shape, colour in product(SHAPES, COLOURS)]
    if german:
        classes = pupil.texts.encode_texts([say_german(claim) for claim in claims])
    else:
        texts = pupil.texts.encode_texts([say(claim, template=form) for claim in claims for form in TEMPLATES])
        classes = class_vectors(texts.view(len(claims), len(TEMPLATES), -1))
    labels = [(SHAPES.index(s.things[0].shape), list(COLOURS).index(s.things[0].colour)) for s in scenes]
    return accuracy(seen @ classes.T, torch.tensor([shape * len(COLOURS) + colour for shape, colour in labels]))


def _said(pupil: Pupil, said: Sequence[Captions], which: str) -> Float[Tensor, "N D"]:
    return pupil.texts.encode_texts([getattr(captions, which) for captions in said])
