"""Toy scenes as a corpus: pictures with their short, long, German and false captions."""

from __future__ import annotations

from collections.abc import Sequence

from langfield.suite.corpus import Caption, Pairs
from langfield.suite.toy.captions import caption
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene

SOURCE = "toy"


def toy_pairs(scenes: Sequence[Scene], negatives: bool = True, german: bool = False) -> Pairs:
    """Give drawn scenes as pairs.

    Args:
        scenes: at least one.
        negatives: with a false caption of every kind that a scene has.
        german: with the short caption in German.
    """
    return Pairs(tuple(_said(scene, negatives, german) for scene in scenes), [draw(scene).picture for scene in scenes])


def _said(scene: Scene, negatives: bool, german: bool) -> tuple[Caption, ...]:
    said = caption(scene)
    found = [Caption(said.short, source=SOURCE), Caption(said.long, "long", source=SOURCE)]
    if german:
        found.append(Caption(said.german, language="de", source=SOURCE))
    false = (said.negative, said.attributes_swapped, said.roles_swapped) if negatives else ()
    return (*found, *(Caption(text, "negative", source=SOURCE) for text in false if text is not None))
