"""ComCLIP: parts of a picture tell which of two pictures, or which pair of things, a sentence is about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from langfield.suite.ask.comclip import Settings, compose, pairs, parse
from langfield.suite.effects.ground import model
from langfield.suite.effects.types import Effect
from langfield.suite.toy.captions import say
from langfield.suite.toy.claims import Claim, named
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, make_scene, relation
from langfield.suite.toy.words import COLOURS

MEASURE = "share right of two pictures"


def replaced(seed: int) -> tuple[float, float]:
    """Of two pictures that differ in a thing's colour, the one a sentence of both things is about."""

    def other(scene: Scene, rng: np.random.Generator) -> Scene:
        used = {thing.colour for thing in scene.things}
        colours = [colour for colour in COLOURS if colour not in used]
        at, colour = int(rng.integers(2)), colours[int(rng.integers(len(colours)))]
        return replace(
            scene, things=tuple(replace(t, colour=colour) if i == at else t for i, t in enumerate(scene.things))
        )

    return _of_two(seed, other)


def exchanged(seed: int) -> tuple[float, float]:
    """Of two pictures with colours exchanged, the one a sentence of both things is about."""

    def other(scene: Scene, _: np.random.Generator) -> Scene:
        a, b = scene.things
        return replace(scene, things=(replace(a, colour=b.colour), replace(b, colour=a.colour)))

    return _of_two(seed, other)


def which_pair(seed: int, count: int = 40) -> tuple[float, float]:
    """Of eight things, the pair a sentence is about: by the sentence and pictures of pairs alone, and by parts."""
    clip, right = model("bag"), []
    for i in range(count):
        given = [t for k in range(4) for t in make_scene(800_000 + 10_000 * seed + 4 * i + k, 2).things]
        vectors = clip.encode_images([draw(Scene((t,), k)).picture for k, t in enumerate(given)])
        text = say(Claim(named(given[0]), None, named(given[1])))
        best = pairs(parse(text), vectors, clip.encode_texts, Settings(candidates=8))[0]
        whole = torch.nn.functional.normalize(vectors[:, None] + vectors, dim=2) @ clip.encode_texts([text])[0]
        found = divmod(int(whole.fill_diagonal_(-1).argmax()), len(given))
        right.append([{*found} == {0, 1} and found[0] < found[1], (best.subject, best.object) == (0, 1)])
    before, after = np.mean(right, axis=0).tolist()
    return before, after


def by_geometry(seed: int, count: int = 40) -> tuple[float, float]:
    """Of two things alike, the one that lies to a third as the sentence says.

    First CLIP, on pictures of both pairs where they lie; then parts, of pairs of which the relation holds in space.
    """
    clip, right = model("good"), []
    for i in range(20 * count):
        a, b, c = make_scene(850_000 + 20_000 * seed + i, 3).things
        given, said = (a, b, replace(c, shape=a.shape, colour=a.colour)), relation(a, b)
        if relation(given[2], b) == said:
            continue
        holds = torch.tensor([[one is not two and relation(one, two) == said for two in given] for one in given])
        vectors = clip.encode_images([draw(Scene((thing,), i)).picture for thing in given])
        seen = clip.encode_images([draw(Scene((one, b), i)).picture for one in given[::2]])
        text = say(Claim(named(a), said, named(b)))
        best = pairs(parse(text), vectors, clip.encode_texts, Settings(candidates=3), holds=holds)[0]
        right.append([int((seen @ clip.encode_texts([text])[0]).argmax()) == 0, (best.subject, best.object) == (0, 1)])
        if len(right) == count:
            break
    before, after = np.mean(right, axis=0).tolist()
    return before, after


def _of_two(seed: int, change) -> tuple[float, float]:
    clip, rng, right = model("bag"), np.random.default_rng(seed), []
    for i in range(80):
        scene = make_scene(750_000 + 1000 * seed + i, 2)
        parts = parse(say(Claim(named(scene.things[0]), None, named(scene.things[1]))))
        text, *words = clip.encode_texts([parts.text, parts.subject, parts.object or "", parts.relation or ""])
        plain, composed = [], []
        for one in (scene, change(scene, rng)):
            whole, *each = clip.encode_images([draw(s).picture for s in (one, *map(_alone(one), one.things))])
            seen = torch.stack(each)
            matched = [seen[int((seen @ word).argmax())] for word in words[:2]]
            plain.append(float(whole @ text))
            composed.append(float(compose(whole, torch.stack([*matched, whole]), torch.stack(words)) @ text))
        right.append([plain[0] > plain[1], composed[0] > composed[1]])
    before, after = np.mean(right, axis=0).tolist()
    return before, after


def _alone(scene: Scene):
    return lambda thing: replace(scene, things=(thing,))


EFFECTS = (
    Effect(
        "parts find the picture in which a thing is another", "toy:bag, one colour replaced", MEASURE, None, replaced
    ),
    Effect("parts find the picture with things bound rightly", "toy:bag, colours exchanged", MEASURE, None, exchanged),
    Effect("parts find the pair of things that is meant", "toy:bag, eight things", "share right", 0.2, which_pair),
    Effect(
        "parts and places find the pair that lies as is said (first number: CLIP on pictures of the pairs)",
        "toy:good, three things, of which two are alike",
        "share right",
        0.3,
        by_geometry,
    ),
)
