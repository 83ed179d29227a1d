"""Which languages an encoder understands: the same things are named in each, and the share that is named right told.

Babel-ImageNet: Massively Multilingual Evaluation of Vision-and-Language Representations (arXiv 2306.08658): every
language has names for some of the classes; pictures of these classes alone are asked, each for the nearest of the
language's names, which are averaged over forms of words or bare. Unlike MMVP, which needs no words, this says whether a
question in somebody's own language can be trusted before it is asked.

Ours: each row also has the accuracy of a reference language on the same pictures and classes and how far this one lies
behind it, because languages name different classes. Labels are BabelNet's, not for commercial use: none are here, they
are read from the user's file. The paper's language adapters are not built.

Cost: a text encoding for every name and form of words, one product of things and names a language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.class_names import Labels
from langfield.suite.slots import Encode, Items, Language

NEEDS = ("languages", "labels")
BARE = ("{}",)


@dataclass(frozen=True)
class Settings:
    """What languages are compared with."""

    reference: str = "en"
    """The language that others may lie behind."""


def diagnose(items: Items, settings: Settings = Settings()) -> list[dict[str, Any]]:
    """Say how well things are named in each language, the worst first.

    Args:
        items: things with their classes as labels, and the classes' names in languages.
        settings: see above.

    Returns:
        Rows with language, classes (its names), things (asked), accuracy, chance, and where the reference language
        names these classes too, reference (its accuracy on the same things and classes) and gap.

    Raises:
        SettingsError: there are no labels or no languages.
    """
    if items.labels is None or items.languages is None:
        raise SettingsError("naming needs classes of things and their names in languages", remedy="give a labels file")
    reference = next((one for one in items.languages if one.code == settings.reference), None)
    rows = [_row(items.vectors, items.labels, one, reference) for one in items.languages]
    found = [row for row in rows if row is not None]
    return sorted(found, key=lambda row: (row["accuracy"] - row.get("reference", 0.0), row["language"]))


def accuracy(vectors: Float[Tensor, "M D"], labels: Int64[Tensor, " M"], language: Language) -> float:
    """Give the share of things, among those whose class has a name, that lie nearest to it; ties with others are wrong.

    As the protocol has it, pictures of other classes are not asked, and all names of the language are choices.
    """
    asked = torch.isin(labels, language.classes)
    scores = vectors[asked].float() @ language.texts.float().T
    own = labels[asked, None] == language.classes
    right = scores.masked_fill(~own, -torch.inf).amax(dim=1) > scores.masked_fill(own, -torch.inf).amax(dim=1)
    return float(right.double().mean())


def languages(
    labels: Labels, encode: Encode, forms: Mapping[str, Sequence[str]] | None = None, only: Sequence[str] | None = None
) -> tuple[Language, ...]:
    """Encode names of classes in languages, averaged over forms of words.

    Args:
        labels: as `langfield.suite.class_names.read_labels` gives them.
        encode: texts to unit vectors.
        forms: of each language, with "{}" for the name, as `read_forms` gives them; the bare name where there are none.
        only: codes of the languages wanted; all where not said.

    Raises:
        SettingsError: a language that is wanted has no names.
    """
    wanted = [code.lower() for code in (labels if only is None else only)]
    if missing := [code for code in wanted if code not in labels]:
        raise SettingsError(f"there are no names in {missing[0]!r}", remedy=f"choose of: {', '.join(labels)}")
    return tuple(_language(code, *labels[code], encode, (forms or {}).get(code, BARE)) for code in wanted)


def _row(
    vectors: Float[Tensor, "M D"], labels: Int64[Tensor, " M"], language: Language, reference: Language | None
) -> dict[str, Any] | None:
    things = torch.isin(labels, language.classes)
    if not bool(things.any()):
        return None
    right = accuracy(vectors, labels, language)
    row: dict[str, Any] = {"language": language.code, "classes": len(language.classes), "things": int(things.sum())}
    row |= {"accuracy": round(right, 4), "chance": round(1 / len(language.classes), 4)}
    if reference is None or not bool(torch.isin(language.classes, reference.classes).all()):
        return row
    same = torch.isin(reference.classes, language.classes)
    best = accuracy(vectors, labels, Language(reference.code, reference.classes[same], reference.texts[same]))
    return row | {"reference": round(best, 4), "gap": round(best - right, 4)}


def _language(
    code: str, classes: tuple[int, ...], names: tuple[str, ...], encode: Encode, forms: Sequence[str]
) -> Language:
    texts: Float[Tensor, "n D"] = encode([form.replace("{}", name) for name in names for form in forms])
    mean = normalize(texts.float().unflatten(0, (len(names), len(forms))).mean(dim=1), dim=1)
    return Language(code, torch.tensor(classes, dtype=torch.long), mean)
