"""Claims in words: English in several styles, German; short and long captions, rewrites and false ones of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from langfield.suite.toy.claims import Claim, Phrase, named, replaced, swap_attributes, swap_roles, true_claim, whole
from langfield.suite.toy.scenes import Scene, relation
from langfield.suite.toy.words import (
    ANYTHING,
    GERMAN_ADJECTIVES,
    GERMAN_DATIVE,
    GERMAN_ENDINGS,
    GERMAN_NOUNS,
    GERMAN_RELATIONS,
    GERMAN_TEMPLATES,
    GERMAN_WHERE,
    TEMPLATES,
    WHERE,
    WITH,
)

STYLES = ("before", "with", "which")
ADJECTIVES = ("size", "colour", "texture")


@dataclass(frozen=True)
class Captions:
    """What is said of one scene."""

    short: str
    """Colours and shapes of its things, and how the first lies to the second."""
    long: str
    """Everything of every thing, and how any two of them lie; more than a toy CLIP reads where there are two things."""
    rewrites: tuple[str, ...]
    """The short caption in other words; true."""
    german: str
    """The short caption in German."""
    negative: str
    """The short caption with one attribute replaced; false."""
    attributes_swapped: str | None
    """The short caption with the colours of two things exchanged; false. None for a single thing."""
    roles_swapped: str | None
    """The short caption with the two things exchanged; false. None for a single thing."""


def caption(scene: Scene) -> Captions:
    """Say everything of a scene; the same words for the same scene."""
    rng = np.random.default_rng([scene.seed, 3])
    claim, negative = short_claim(scene), short_claim(scene)
    while negative.holds(scene):
        negative = replaced(claim, rng)
    attributes, roles = swap_attributes(claim), swap_roles(claim)
    return Captions(
        short=say(claim), long=long_caption(scene), german=say_german(claim), negative=say(negative),
        rewrites=tuple(say(claim, style, form) for style in ("before", "which") for form in TEMPLATES)[1:],
        attributes_swapped=say(attributes) if attributes else None, roles_swapped=say(roles) if roles else None,
    )  # fmt: skip


def short_claim(scene: Scene) -> Claim:
    """Name the first thing and, where there is another, how it lies to that."""
    a, *rest = scene.things
    return Claim(named(a), relation(a, rest[0]), named(rest[0])) if rest else Claim(named(a))


def long_caption(scene: Scene) -> str:
    """Say everything of every thing in a sentence each, then how any two lie."""
    things = [f"there is {say(Claim(whole(thing, place=True)))}." for thing in scene.things]
    pairs = [say(Claim(named(a), relation(a, b), named(b))) + "." for a, b in combinations(scene.things, 2)]
    return " ".join([*things, *pairs])


def say(claim: Claim, style: str = "before", template: str = "{}") -> str:
    """Put a claim into English.

    Args:
        claim: what is said.
        style: "before" (a striped square), "with" (a square with stripes) or "which" (a square which is striped).
        template: of TEMPLATES, UNSEEN_TEMPLATES or alike, with one "{}".
    """
    return template.format(_joined(claim, _phrase(claim.first, style), claim.second and _phrase(claim.second, style)))


def say_german(claim: Claim, template: str = "{}") -> str:
    """Put a claim into German; the template is of GERMAN_TEMPLATES or alike."""
    second = claim.second and _german(claim.second, dative=claim.relation is not None)
    # "von" asks for the dative, and so for the other article of the first phrase too
    first = _german(claim.first, dative=template.endswith("von {}"))
    word = "und" if claim.relation is None else GERMAN_RELATIONS[claim.relation]
    return template.format(first if second is None else f"{first} {word} {second}")


def random_words(scene: Scene, rng: np.random.Generator) -> tuple[Claim, str]:
    """Draw a true claim and an English way to say it."""
    claim = true_claim(scene, rng)
    return claim, say(claim, *_manner(rng))


def same_manner(claims: Sequence[Claim], rng: np.random.Generator) -> list[str]:
    """Say several claims in one and the same manner, so that only the sense tells them apart."""
    style, template = _manner(rng)
    return [say(claim, style, template) for claim in claims]


def random_german(scene: Scene, rng: np.random.Generator) -> tuple[Claim, str]:
    """Draw a true claim and a German way to say it."""
    claim = true_claim(scene, rng)
    return claim, say_german(claim, GERMAN_TEMPLATES[int(rng.integers(len(GERMAN_TEMPLATES)))])


def _manner(rng: np.random.Generator) -> tuple[str, str]:
    style = STYLES[int(rng.choice(3, p=(0.6, 0.2, 0.2)))]
    return style, TEMPLATES[int(rng.integers(len(TEMPLATES)))]


def _joined(claim: Claim, first: str, second: str | None) -> str:
    return first if second is None else f"{first} {claim.relation or 'and'} {second}"


def _phrase(phrase: Phrase, style: str) -> str:
    texture, adjectives, after = phrase.texture, [v for n in ADJECTIVES if (v := getattr(phrase, n))], ""
    if style == "with" and texture:
        adjectives, after = [v for v in adjectives if v != texture], " " + WITH[texture]
    elif style == "which" and adjectives:
        adjectives, after = [], " which is " + " and ".join(adjectives)
    words = " ".join([*adjectives, phrase.shape or _something(phrase)])
    place = f" {WHERE[phrase.place]}" if phrase.place else ""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}{after}{place}"


def _something(phrase: Phrase) -> str:
    """Choose a word for a thing of which no shape is said: always the same one for the same phrase."""
    letters = sum(len(value) for value in vars(phrase).values() if value)
    return ANYTHING[letters % len(ANYTHING)]


def _german(phrase: Phrase, dative: bool) -> str:
    noun, gender = GERMAN_NOUNS[phrase.shape or "thing"]
    article, ending = GERMAN_ENDINGS[gender]
    if dative:
        article, ending = GERMAN_DATIVE[gender], "en"
    adjectives = [GERMAN_ADJECTIVES[v] + ending for n in ADJECTIVES if (v := getattr(phrase, n))]
    place = [GERMAN_WHERE[phrase.place]] if phrase.place else []
    return " ".join([article, *adjectives, noun, *place])
