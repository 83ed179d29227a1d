"""The grammar: what captions and questions say of each state, in two vocabularies that share no content word.

`tests/scenes/test_changes_words.py` holds the two apart; only names of things and the function words below are common.
"""

from __future__ import annotations

from dataclasses import dataclass

_WITHOUT_CONTENT = """
a an the this that these it its is are was were be been being am has have had do does did can could will would may might
and or not no so than as at by for from in into of on to with when where which what who whose how i me you he she they
we us there
"""
FUNCTION_WORDS = frozenset(_WITHOUT_CONTENT.split())
"""Words that say nothing of a state; "off", "up", "down" and numbers are not among them."""


@dataclass(frozen=True)
class Wording:
    """How one state of one thing is spoken of."""

    captions: tuple[str, ...]
    """Predicates of captions: "The NAME ..."."""
    keywords: tuple[str, ...]
    """Whole keyword questions."""
    clauses: tuple[str, ...]
    """Parts of natural questions, from their subject on."""


FRAME_ENDINGS = ("", "", "", " in this picture", " at this moment")
QUESTIONS = (
    "When is it that {clause}?",
    "Take me to the part of the video where {clause}.",
    "Find every scene in which {clause}.",
    "I am looking for the seconds when {clause}.",
    "Could you tell me during which seconds {clause}?",
)

WORDS: dict[str, dict[str, Wording]] = {
    "lamp": {
        "unlit": Wording(
            ("is switched off", "is off", "gives no light", "is switched off and its shade is dull"),
            ("unlit lamp", "extinguished lamp", "lamp without power"),
            (
                "the lamp is unlit",
                "somebody has extinguished the lamp",
                "the lamp uses no electricity",
                "the lamp does not shine, however gloomy the evening gets",
            ),
        ),
        "lit": Wording(
            ("is switched on", "is switched on and its shade is glowing", "gives warm light", "is glowing"),
            ("shining lamp", "illuminated lamp", "radiant lamp"),
            (
                "the lamp shines",
                "electricity flows through the lamp",
                "the lamp illuminates its surroundings",
                "the lamp is so radiant that somebody could read a book beside it",
            ),
        ),
        "cracked": Wording(
            (),
            ("cracked lamp", "damaged lamp"),
            ("the lamp cracks", "somebody has damaged the lamp so that a ruin remains"),
        ),
    },
    "bottle": {
        "upright": Wording(
            ("is standing upright", "stands on its base", "is upright", "stands upright with its neck on top"),
            ("vertical bottle", "erect bottle", "bottle balanced vertically"),
            (
                "the bottle is vertical",
                "the bottle keeps its balance",
                "the cork of the bottle faces the ceiling",
                "the bottle is as erect as every other bottle in a shop window",
            ),
        ),
        "fallen": Wording(
            ("has fallen over", "is lying on its side", "lies on the table", "has fallen and lies there"),
            ("toppled bottle", "horizontal bottle", "tipped bottle"),
            (
                "the bottle has toppled",
                "the bottle is horizontal",
                "the bottle has lost its balance",
                "somebody has knocked the bottle and it might roll away",
            ),
        ),
        "shattered": Wording(
            (),
            ("shattered bottle", "smashed bottle"),
            ("the bottle shatters", "sharp splinters of the smashed bottle are scattered everywhere"),
        ),
    },
    "box": {
        "closed": Wording(
            ("is closed", "has its flaps shut", "is closed with tape across it", "is shut"),
            ("sealed box", "fastened box", "covered box"),
            (
                "the box is sealed",
                "nobody can look into the box",
                "the box hides whatever it contains",
                "the box is ready to be mailed to somebody far away",
            ),
        ),
        "open": Wording(
            ("is open", "has its flaps raised", "is open and shows its inside", "is opened"),
            ("unsealed box", "uncovered box", "box ready to be packed"),
            (
                "the box has been unsealed",
                "somebody can look into the box",
                "the cover of the box is lifted",
                "the interior of the box is visible and somebody could pack a gift",
            ),
        ),
        "crushed": Wording(
            (),
            ("crushed box", "flattened box"),
            ("the box gets crushed", "somebody has stepped onto the box and squashed it"),
        ),
    },
    "bowl": {
        "empty": Wording(
            ("is empty", "has nothing in it", "shows its empty white bottom", "is empty and clean"),
            ("vacant bowl", "bowl without food", "bowl containing no liquid"),
            (
                "the bowl contains no food",
                "the meal is missing from the bowl",
                "somebody could pour a meal into the vacant bowl",
                "a hungry guest would be disappointed by what the bowl has in store",
            ),
        ),
        "full": Wording(
            ("is full of red soup", "is filled with soup", "holds soup almost to the rim", "is full"),
            ("bowl of liquid", "brimming bowl", "bowl containing food"),
            (
                "the bowl contains food",
                "a meal is served within the bowl",
                "the bowl brims with a liquid",
                "a hungry guest could take a spoon and eat from the bowl",
            ),
        ),
        "overturned": Wording(
            (),
            ("overturned bowl", "capsized bowl"),
            ("the bowl is overturned", "somebody has flipped the bowl and everything spills"),
        ),
    },
    "bread": {
        "whole": Wording(
            ("is whole", "is in one piece", "is a whole loaf", "is an unbroken loaf"),
            ("intact bread", "uncut bread", "undivided bread"),
            (
                "the bread is intact",
                "the bread has yet to be cut",
                "the bread is undivided",
                "the bread has never been touched by a knife",
            ),
        ),
        "split": Wording(
            ("is split into two halves", "has been broken in two", "is in two pieces", "is split and shows its crumb"),
            ("divided bread", "torn bread", "bread cut apart"),
            (
                "the bread has been divided",
                "the bread is torn apart",
                "the parts of the bread are separated",
                "somebody has cut the bread so that it can be shared by friends",
            ),
        ),
        "burnt": Wording(
            (),
            ("burnt bread", "charred bread"),
            ("the bread is burnt", "the bread is black because somebody forgot it within the oven"),
        ),
    },
}

STILL = ("stands on the table", "is on the table", "stays where it is")
"""Captions of what never changes."""
STILL_WRONG = ("has fallen from the table", "is turned around")
"""False captions of what never changes."""
