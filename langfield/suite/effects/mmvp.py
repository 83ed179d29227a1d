"""MMVP: pairs that an encoder cannot tell apart are found, and questions about them fail."""

from __future__ import annotations

import torch

from langfield.suite.diagnose.mmvp import Settings, diagnose
from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.slots import Items
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.exam import mirrored
from langfield.suite.toy.scenes import make_scene


def blind(seed: int, count: int = 60) -> tuple[float, float]:
    """Scenes and their mirrored twins: how far questions tell pairs that are not blind apart less how far blind ones.

    Returns:
        The share of statements given to their own picture of two, in pairs found blind and in random other pairs.
    """
    clip = model("good")
    scenes = [
        scene
        for i in range(count)
        for one in [make_scene(60_000 + 1000 * seed + i, 2)]
        for scene in (one, mirrored(one))
    ]
    pictures = [draw(scene).picture for scene in scenes]
    seen, said = clip.encode_images(pictures), clip.encode_texts([caption(scene).short for scene in scenes])
    pixels = torch.nn.functional.normalize(
        torch.stack([torch.tensor(p).float().flatten() - 128 for p in pictures]), dim=1
    )
    rows = diagnose(Items(seen, other=pixels), Settings(same=0.95, apart=0.9, most=10_000))
    found = [(row["a"], row["b"]) for row in rows]
    others = [(2 * i, (2 * i + 7) % len(scenes)) for i in range(count)]
    return right(seen, said, found), right(seen, said, others)


def right(seen: torch.Tensor, said: torch.Tensor, pairs: list[tuple[int, int]]) -> float:
    """Give the share of pairs of which both statements are nearer to their own picture; 1 where there is no pair."""
    scores = [(said[[a, b]] @ seen[[a, b]].T).tolist() for a, b in pairs]
    return sum(s[0][0] > s[0][1] and s[1][1] > s[1][0] for s in scores) / len(scores) if scores else 1.0


EFFECTS = (
    Effect(
        "questions about blind pairs fail where those about other pairs do not (first number: blind pairs)",
        "toy:good and plain pixels, scenes of two things and their mirrored twins",
        "share of pairs told apart",
        0.5,
        blind,
    ),
)
