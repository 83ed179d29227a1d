"""Finding a thing again: things of one scene in another, or by a picture or a long text, in a space a method makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.relevancy import Phrases, check_text, encode_unit
from langfield.query.things import thing_scores, things_of, which_names
from langfield.suite.choose import Chosen, choose
from langfield.suite.corpus import Pairs
from langfield.suite.model import ClipModel
from langfield.suite.slots import Items
from langfield.suite.types import TextEncoder

PLAIN = "plain"
"""The name of no method: cosines as they are."""


def thing_items(field: Field, names: Phrases) -> Items:
    """Give all things of a scene, row by number, each called by the name that fits it best.

    Args:
        field: one with things.
        names: a question with a row for each name, in words.

    Raises:
        QueryError: the field has no things.
    """
    rows = which_names(field, thing_scores(field, names))
    texts = tuple(names.texts[row] for row in rows.tolist())
    return Items(normalize(things_of(field).vectors.float(), dim=1), texts, names.positives[rows])


def renamed(texts: Sequence[str] | None, said: Mapping[int, str]) -> tuple[str, ...]:
    """Give what things are called, known names in the place of guessed ones.

    Args:
        texts: of all things, by number.
        said: known names of some, by number.
    """
    return tuple(said.get(thing, text) for thing, text in enumerate(texts or ()))


def view_items(pairs: Pairs, encoder: TextEncoder) -> Items:
    """Give pictures of things of a corpus with their first captions: what methods that learn to link learn from.

    Raises:
        QueryError: the corpus has no vectors or no numbers of things.
    """
    if pairs.vectors is None or pairs.instances is None:
        raise QueryError("linking is learnt from pictures of things with vectors", remedy="use a run with its segments")
    texts = tuple(pairs.of(row)[0].text for row in range(len(pairs)))
    distinct = sorted(set(texts))
    vectors = encode_unit(encoder, distinct, pairs.vectors.shape[1])
    return Items(pairs.vectors, texts, vectors[[distinct.index(text) for text in texts]], pairs.instances)


def picture_items(vectors: Float[Tensor, "Q D"], names: Phrases) -> Items:
    """Give pictures as items, each called by the name that lies nearest."""
    rows = (vectors @ names.positives.T).argmax(dim=1)
    return Items(vectors, tuple(names.texts[row] for row in rows.tolist()), names.positives[rows])


def text_items(texts: Sequence[str], encoder: TextEncoder, dim: int) -> Items:
    """Give texts as items whose vectors are their own; long ones are cut where the encoder ends.

    Raises:
        QueryError: a text cannot be asked.
    """
    vectors = encode_unit(encoder, [check_text(text) for text in texts], dim)
    return Items(vectors, tuple(texts), vectors)


@dataclass(frozen=True)
class Finding:
    """A method that has learnt: scores of questions against a gallery."""

    name: str
    transform: Callable[[Items], Tensor] | None
    """None for no method."""
    one_side: bool = False
    """Whether questions alone are changed."""
    in_words: bool = False
    """Whether it reads texts alone, so that a question in words needs no picture."""

    @torch.no_grad()
    def scores(self, asked: Items, gallery: Items) -> Float[Tensor, "Q G"]:
        """Give the cosine of every question with everything in the gallery."""
        if self.transform is None:
            return asked.vectors @ gallery.vectors.T
        changed = self.transform(asked)
        return changed @ (gallery.vectors if self.one_side else self.transform(gallery)).T


def finding(method: str, items: Items, model: ClipModel | None = None) -> Finding:
    """Let a method of the family find learn from items.

    Args:
        method: "plain", or a method with settings where wanted.
        items: pictures of things with texts and numbers (`view_items`), or things (`thing_items`) for methods that
            learn nothing from them.
        model: of the text encoder, for methods that need one.

    Raises:
        SettingsError: no such method of the family find, or it cannot learn from these.
    """
    if method == PLAIN:
        return Finding(PLAIN, None)
    chosen: Chosen = choose("find", method)
    with torch.enable_grad():
        transform = chosen.module.find(items, model, chosen.settings)
    one_side, needs = getattr(chosen.module, "ONE_SIDE", False), chosen.module.NEEDS
    return Finding(chosen.name, transform, one_side, "text_vectors" in needs and "labels" not in needs)


def best_matches(scores: Float[Tensor, "Q G"], most: int = 1) -> list[list[tuple[int, float]]]:
    """Give the best of the gallery for each question with its cosine, the best first."""
    found = scores.topk(min(most, scores.shape[1]), dim=1)
    return [list(zip(rows, values, strict=True)) for rows, values in
            zip(found.indices.tolist(), found.values.tolist(), strict=True)]  # fmt: skip


def best_of(scores: Float[Tensor, " G"], among: Bool[Tensor, " G"], most: int) -> list[tuple[int, float]]:
    """Give the best of some of the gallery with its cosine, the best first.

    Args:
        scores: of a question against the gallery.
        among: which of the gallery are there to be found.
        most: how many at most.
    """
    rows = among.nonzero()[:, 0]
    return [(int(rows[i]), cosine) for i, cosine in best_matches(scores[rows][None], most)[0]]


def links(scores: Float[Tensor, "A B"], one: Items, other: Items) -> list[dict[str, Any]]:
    """Report which thing of another scene each thing of one is, the surest first.

    Returns:
        Rows with thing, name, other, other_name, cosine, and mutual: whether each is the other's best.
    """
    back, rows = scores.argmax(dim=0), list[dict[str, Any]]()
    for thing, [(found, cosine)] in enumerate(best_matches(scores)):
        names = {"name": one.texts and one.texts[thing], "other_name": other.texts and other.texts[found]}
        mutual = int(back[found]) == thing
        rows.append({"thing": thing, "other": found, **names, "cosine": round(cosine, 4), "mutual": mutual})
    return sorted(rows, key=lambda row: (not row["mutual"], -row["cosine"]))
