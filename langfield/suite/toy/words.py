"""The words of the toy world, English and German, and what they look like."""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30), "green": (30, 170, 50), "blue": (40, 70, 230), "yellow": (240, 220, 40),
    "purple": (150, 40, 180), "orange": (250, 140, 20), "white": (245, 245, 245), "black": (15, 15, 15),
}  # fmt: skip
SHAPES = ("square", "circle", "triangle", "cross", "ring", "diamond", "star", "bar")
UNTAUGHT_SHAPES = ("heart", "moon")
"""Their words are in the vocabulary, but no toy CLIP ever saw one named or drawn."""
TEXTURES = ("plain", "striped", "dotted")
SIZES = ("small", "big")
PLACES = ("left", "right", "top", "bottom", "middle")
RELATIONS = ("left of", "right of", "above", "below")
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
VALUES: dict[str, tuple[str, ...]] = {
    "shape": (*SHAPES, *UNTAUGHT_SHAPES), "colour": tuple(COLOURS), "texture": TEXTURES, "size": SIZES, "place": PLACES,
}  # fmt: skip

ANYTHING = ("thing", "object", "shape")
WITH = {"plain": "of one colour", "striped": "with stripes", "dotted": "with dots"}
WHERE = {
    "left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom",
    "middle": "in the middle",
}  # fmt: skip
TEMPLATES = ("{}", "a photo of {}", "a picture of {}", "an image of {}", "there is {}")
UNSEEN_TEMPLATES = ("here one can see {}", "this drawing shows us {}", "look at {}")
"""Made of known words of which no toy CLIP ever learned the sense."""
NEW_NAMES = ("wug", "dax", "blicket", "toma", "fep", "zav", "mib", "kiki")
"""Names of nothing: in the vocabulary, never taught."""
COMMON = (
    "a", "an", "the", "and", "is", "are", "which", "has", "have", "no", "not", "without", "things", "objects", "stuff",
    "texture", "colour", "place", "something",
)  # fmt: skip

GERMAN_NOUNS: dict[str, tuple[str, str]] = {
    "square": ("quadrat", "n"), "circle": ("kreis", "m"), "triangle": ("dreieck", "n"), "cross": ("kreuz", "n"),
    "ring": ("ring", "m"), "diamond": ("raute", "f"), "star": ("stern", "m"), "bar": ("balken", "m"),
    "heart": ("herz", "n"), "moon": ("mond", "m"), "thing": ("ding", "n"),
}  # fmt: skip
"""Noun and gender."""
GERMAN_ADJECTIVES = {
    "red": "rot", "green": "grün", "blue": "blau", "yellow": "gelb", "purple": "violett", "orange": "orangefarben",
    "white": "weiß", "black": "schwarz", "plain": "einfarbig", "striped": "gestreift", "dotted": "gepunktet",
    "small": "klein", "big": "groß",
}  # fmt: skip
GERMAN_ENDINGS = {"m": ("ein", "er"), "f": ("eine", "e"), "n": ("ein", "es")}
"""Article and ending of the adjective after it, nominative."""
GERMAN_DATIVE = {"m": "einem", "f": "einer", "n": "einem"}
GERMAN_RELATIONS = {"left of": "links von", "right of": "rechts von", "above": "über", "below": "unter"}
GERMAN_WHERE = {
    "left": "links", "right": "rechts", "top": "oben", "bottom": "unten", "middle": "in der mitte",
}  # fmt: skip
GERMAN_TEMPLATES = ("{}", "ein foto von {}", "ein bild zeigt {}")


def vocabulary() -> tuple[str, ...]:
    """Give every word there is, sorted: the order of the token ids."""
    english = [*COLOURS, *VALUES["shape"], *TEXTURES, *SIZES, *RELATIONS, *ANYTHING, *WITH.values(), *WHERE.values()]
    endings = ("er", "e", "es", "en")
    german = [adjective + ending for adjective in GERMAN_ADJECTIVES.values() for ending in endings]
    german += [noun for noun, _ in GERMAN_NOUNS.values()]
    german += [*GERMAN_RELATIONS.values(), *GERMAN_WHERE.values(), *GERMAN_TEMPLATES, *GERMAN_DATIVE.values()]
    german += ["ein", "eine", "und"]
    phrases = [*english, *german, *TEMPLATES, *UNSEEN_TEMPLATES, *NEW_NAMES, *COMMON]
    return tuple(sorted({word for phrase in phrases for word in phrase.replace("{}", " ").split()}))
