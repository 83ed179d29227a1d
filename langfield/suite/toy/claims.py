"""What can be said of a scene, as data: up to two phrases and how their things lie; is it so; false variants."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from langfield.suite.toy.scenes import Scene, Thing, relation
from langfield.suite.toy.words import OPPOSITE, PLACES, SHAPES, VALUES

MENTIONED = {"shape": 0.9, "colour": 0.8, "texture": 0.35, "size": 0.35}
PLACED = 0.2


@dataclass(frozen=True)
class Phrase:
    """Attributes of one thing; None where nothing is said."""

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    place: str | None = None

    def fits(self, thing: Thing) -> bool:
        """Say whether a thing is as the phrase says."""
        return all(wanted in (None, getattr(thing, name)) for name, wanted in vars(self).items())


@dataclass(frozen=True)
class Claim:
    """A thing; or two things; or two things and how the first lies to the second."""

    first: Phrase
    relation: str | None = None
    second: Phrase | None = None

    def holds(self, scene: Scene) -> bool:
        """Say whether things of the scene, two different ones for two phrases, are and lie as claimed."""
        if self.second is None:
            return any(self.first.fits(thing) for thing in scene.things)
        return any(
            self.first.fits(a) and self.second.fits(b) and self.relation in (None, relation(a, b))
            for a in scene.things for b in scene.things if a is not b
        )  # fmt: skip


def whole(thing: Thing, place: bool = False) -> Phrase:
    """Give the phrase that says everything of a thing, where it lies only if asked."""
    return Phrase(thing.shape, thing.colour, thing.texture, thing.size, thing.place if place else None)


def named(thing: Thing) -> Phrase:
    """Give the phrase of a thing's colour and shape."""
    return Phrase(thing.shape, thing.colour)


def true_claim(scene: Scene, rng: np.random.Generator, pair: bool | None = None) -> Claim:
    """Draw a claim that holds: of two things where `pair`, of one where not; None draws that too."""
    order = rng.permutation(len(scene.things))
    a = scene.things[order[0]]
    if len(order) < 2 or not (rng.random() < 0.65 if pair is None else pair):
        return Claim(_part(a, rng, PLACED))
    b = scene.things[order[1]]
    return Claim(_part(a, rng, 0), relation(a, b) if rng.random() < 0.8 else None, _part(b, rng, 0))


def _part(thing: Thing, rng: np.random.Generator, placed: float) -> Phrase:
    draws = rng.random(5)
    said = {name: getattr(thing, name) for draw, (name, p) in zip(draws, MENTIONED.items(), strict=False) if draw < p}
    said = said or {"shape": thing.shape}
    return Phrase(**said, place=thing.place if draws[4] < placed else None)


def swap_attributes(claim: Claim) -> Claim | None:
    """Exchange what is said of two things besides their shapes; None where there is no shape or nothing to exchange."""
    a, b = claim.first, claim.second
    if b is None or a.shape is None or b.shape is None or replace(a, shape=b.shape) == b:
        return None
    return replace(claim, first=replace(b, shape=a.shape), second=replace(a, shape=b.shape))


def swap_roles(claim: Claim) -> Claim | None:
    """Exchange the two things of a relation; None where there is none."""
    if claim.second is None or claim.relation is None or claim.first == claim.second:
        return None
    return replace(claim, first=claim.second, second=claim.first)


def turn_relation(claim: Claim) -> Claim | None:
    """Turn the relation round ("left of" to "right of"); None where there is none."""
    return None if claim.relation is None else replace(claim, relation=OPPOSITE[claim.relation])


def replaced(claim: Claim, rng: np.random.Generator) -> Claim:
    """Say another value of one attribute of the first phrase; shapes nobody was taught are not used."""
    said = [name for name, value in vars(claim.first).items() if value is not None]
    name = said[int(rng.integers(len(said)))]
    values = SHAPES if name == "shape" else PLACES if name == "place" else VALUES[name]
    others = [value for value in values if value != getattr(claim.first, name)]
    return replace(claim, first=replace(claim.first, **{name: others[int(rng.integers(len(others)))]}))


def false_claims(claim: Claim, scene: Scene, rng: np.random.Generator, count: int = 2) -> list[Claim]:
    """Give `count` false claims that read like a true one: attributes and roles exchanged first, then replacements."""
    found = [other for other in (swap_attributes(claim), swap_roles(claim)) if other and not other.holds(scene)]
    for _ in range(4 * count if len(found) < count else 0):
        other = replaced(claim, rng)
        if len(found) < count and not other.holds(scene):
            found.append(other)
    absent = [shape for shape in SHAPES if shape not in {thing.shape for thing in scene.things}]
    while len(found) < count:  # where any other value holds of another thing, only a shape that is not there is false
        shape = absent[int(rng.integers(len(absent)))]
        found.append(replace(claim, first=replace(claim.first, shape=shape)))
    return found[:count]
