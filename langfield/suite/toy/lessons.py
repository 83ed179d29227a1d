"""Many scenes as arrays to train on, and which caption is true of which scene, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from langfield.suite.toy.captions import random_german, random_words, same_manner, say
from langfield.suite.toy.claims import Claim, Phrase, false_claims, named
from langfield.suite.toy.draw import draw
from langfield.suite.toy.model import PATCH_PX
from langfield.suite.toy.scenes import SIDE_PX, Scene, make_scene, relation
from langfield.suite.toy.tokenizer import ToyTokenizer
from langfield.suite.toy.words import RELATIONS, VALUES

MOST = 3  # things in a scene
ANY, MISSING = -1, -2
ENGLISH, FALSE = 5, 2  # captions of a scene, false ones of each; one German caption follows the English ones
CHUNK = 250


@dataclass(frozen=True)
class Lessons:
    """N scenes; captions C are ENGLISH in English and a last one in German."""

    pictures: UInt8[Tensor, "N 64 64 3"]
    cover: Float[Tensor, "N 3 P"]
    """Share of each patch that shows each thing."""
    things: Int[Tensor, "N 3 5"]
    """Attributes as places in VALUES, MISSING where there is no thing."""
    relations: Int[Tensor, "N 3 3"]
    """How a thing (second axis) lies to another (third), as places in RELATIONS."""
    texts: Int[Tensor, "N C L"]
    claims: Int[Tensor, "N C 11"]
    """What the texts say: two phrases and a relation, ANY where nothing is said, MISSING for no second phrase."""
    false: Int[Tensor, "N C 2 L"]
    names: Int[Tensor, "N 3 L"]
    """Colour and shape of each thing in words."""

    def to(self, device: torch.device) -> Lessons:
        """Give them on a device."""
        return Lessons(*(tensor.to(device) for tensor in vars(self).values()))


def make_lessons(seeds: Sequence[int], workers: int = 0) -> Lessons:
    """Draw scenes and caption them, in so many processes; the result does not depend on how many."""
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    if workers:
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_chunk, chunks))
    else:
        parts = [_chunk(chunk) for chunk in chunks]
    return Lessons(*(torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)))


def true_of(
    claims: Int[Tensor, "T 11"], things: Int[Tensor, "S 3 5"], relations: Int[Tensor, "S 3 3"]
) -> Bool[Tensor, "T S"]:
    """Say of every claim and every scene whether it holds."""
    first, second = (_fits(part, things) for part in (claims[:, :5], claims[:, 5:10]))
    asked = claims[:, 10, None, None, None]
    lies = (asked == ANY) | (asked == relations)
    apart = ~torch.eye(MOST, dtype=torch.bool, device=claims.device)
    pair = (first[..., :, None] & second[..., None, :] & lies & apart).flatten(2).any(2)
    return torch.where(claims[:, 5, None] == MISSING, first.any(2), pair)


def thing_claims(things: Int[Tensor, "B 5"]) -> Int[Tensor, "B 11"]:
    """Give the claims of one thing's colour and shape."""
    claims = torch.full((len(things), 11), ANY, dtype=things.dtype, device=things.device)
    claims[:, :2], claims[:, 5:10] = things[:, :2], MISSING
    return claims


def claim_row(claim: Claim) -> list[int]:
    """Give a claim as numbers."""
    second = [MISSING] * 5 if claim.second is None else _phrase_row(claim.second)
    return [*_phrase_row(claim.first), *second, ANY if claim.relation is None else RELATIONS.index(claim.relation)]


def _fits(phrases: Int[Tensor, "T 5"], things: Int[Tensor, "S 3 5"]) -> Bool[Tensor, "T S 3"]:
    wanted = phrases[:, None, None]
    return ((wanted == ANY) | (wanted == things)).all(-1) & (things[..., 0] != MISSING)


def _phrase_row(phrase: Phrase) -> list[int]:
    return [ANY if value is None else VALUES[name].index(value) for name, value in vars(phrase).items()]


def _chunk(seeds: Sequence[int]) -> tuple[np.ndarray, ...]:
    tokenizer = ToyTokenizer()
    rows = [_row(make_scene(seed), tokenizer) for seed in seeds]
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def _row(scene: Scene, tokenizer: ToyTokenizer) -> tuple[np.ndarray, ...]:
    """Give one scene's row of every field of Lessons, in their order."""
    rng = np.random.default_rng([scene.seed, 4])
    drawn = draw(scene)
    said = [random_words(scene, rng) for _ in range(ENGLISH)] + [random_german(scene, rng)]
    claims = [claim for claim, _ in said]
    false = [same_manner(false_claims(claim, scene, rng, FALSE), rng) for claim in claims]
    ids = partial(_ids, tokenizer)
    return (
        drawn.picture, _cover(drawn.ids), _things(scene), _relations(scene), ids([text for _, text in said]),
        np.asarray([claim_row(claim) for claim in claims], np.int8),
        ids([text for texts in false for text in texts]).reshape(len(said), FALSE, -1),
        ids([say(Claim(named(thing))) for thing in scene.things] + [""] * (MOST - len(scene.things))),
    )  # fmt: skip


def _ids(tokenizer: ToyTokenizer, texts: Sequence[str]) -> np.ndarray:
    return tokenizer(texts).numpy().astype(np.int16)


def _cover(ids: np.ndarray) -> np.ndarray:
    side = SIDE_PX // PATCH_PX
    shown = ids[None] == np.arange(MOST)[:, None, None]
    return shown.reshape(MOST, side, PATCH_PX, side, PATCH_PX).mean((2, 4), dtype=np.float32).reshape(MOST, -1)


def _things(scene: Scene) -> np.ndarray:
    found = np.full((MOST, 5), MISSING, np.int8)
    for row, thing in zip(found, scene.things, strict=False):
        row[:] = [values.index(getattr(thing, name)) for name, values in VALUES.items()]
    return found


def _relations(scene: Scene) -> np.ndarray:
    found = np.full((MOST, MOST), MISSING, np.int8)
    for i, a in enumerate(scene.things):
        for j, b in enumerate(scene.things):
            if i != j:
                found[i, j] = RELATIONS.index(relation(a, b))
    return found
