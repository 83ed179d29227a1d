"""Methods of the suite put to a field: words asked by a method, a method taught by clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import QueryError, SettingsError
from langfield.field.types import Field
from langfield.query.heads import ask_head
from langfield.query.image import language_of
from langfield.query.relevancy import CANONICALS, Phrases, about_encoder, check_text, encode_unit
from langfield.query.things import things_of
from langfield.suite.choose import choose
from langfield.suite.head import Head
from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask, Question
from langfield.suite.textgen import TEMPLATES, text_generator
from langfield.suite.types import TextEncoder


@dataclass(frozen=True)
class By:
    """How words are asked."""

    method: str
    """A method of the family ask, with settings where wanted: "laclip:rewrites=2"."""
    writer: str = TEMPLATES
    """Who writes descriptions, rewrites and negatives (`langfield.suite.textgen`); templates know nothing of the
    world, and the answer says so."""


def ask_by(
    field: Field, encoder: TextEncoder, texts: Sequence[str], by: By, negatives: Sequence[str] = CANONICALS
) -> Phrases:
    """Make a question of texts by a method; it is asked as any other.

    Args:
        field: what will be asked; some methods look at its things.
        encoder: the text encoder that goes with the field's image encoder.
        texts: one or more phrases; to a method that tells a change, what it was and what it is.
        by: the method and who writes for it.
        negatives: what a thing must fit less than it fits a phrase.

    Raises:
        QueryError: a text cannot be asked, the encoder does not fit, or the method needs things and there are none.
        SettingsError: no such method of the family ask, or no such writer.
    """
    chosen, dim = choose("ask", by.method), language_of(field)[1].dim
    asked, against = tuple(check_text(text) for text in texts), tuple(check_text(text) for text in negatives)
    if not asked:
        raise QueryError("no question was given", remedy="name at least one thing")
    writer = text_generator(by.writer) if chosen.needs("generator") else None
    gallery = _gallery(field, chosen.name) if chosen.needs("gallery") else None

    def encode(sentences: Sequence[str]) -> Tensor:
        return encode_unit(encoder, list(sentences), dim)

    head: Head = chosen.module.ask(Question(asked, against, writer, gallery), encode, chosen.settings)
    about = about_encoder(encoder)
    if writer is not None:
        about |= {"writer": {"name": writer.name, "reduced": writer.reduced}}
    return ask_head(head, dim, about)


def _gallery(field: Field, name: str) -> Float[Tensor, "G D"]:
    try:
        return normalize(things_of(field).vectors.float(), dim=1)
    except QueryError as error:
        raise QueryError(f"{name} looks at the scene's things, and there are none", remedy=error.remedy) from error


def teach(task: FewShotTask, method: str = "gda", model: ClipModel | None = None) -> Head:
    """Learn a head from clicks by a method.

    Args:
        task: of `langfield.query.gather_clicks`.
        method: of the family teach, with settings where wanted: "gda:alpha=1".
        model: of the text encoder (`langfield.suite.spec.model_of`), for methods that need one.

    Raises:
        SettingsError: no such method of the family teach, it needs a model or a text tower that is not there, or there
            is nothing to learn from.
    """
    chosen = choose("teach", method)
    if len(task.vectors) == 0:
        raise SettingsError("there is no example to learn from", remedy="click at least one thing")
    with torch.enable_grad():
        return chosen.module.fit(task, model, chosen.settings)


def words_of(encoder: Mapping[str, Any]) -> list[str]:
    """Say how a question was made (`Phrases.encoder`), a line for a person each; nothing for plain words."""
    head, writer = encoder.get("head"), encoder.get("writer")
    if not head:
        return []
    lines = ["; ".join(f"{key} {value}" for key, value in head.items() if key in TOLD)]
    if writer and writer["reduced"]:
        lines.append(f"reduced: texts were written by {writer['name']}, which know nothing of the world (--texts)")
    return lines


TOLD = ("method", "writer", "written by", "examples", "alpha", "context", "learnt numbers", "from", "to")
"""What of a head's story is told beside an answer; all of it is in the JSON."""
