"""The slots of the suite: what each family of methods takes and gives, as plain data and Protocols.

A method is a module named in its family's table. It has a frozen dataclass `Settings` whose fields all have defaults,
one function of the family's slot that takes them as `settings`: `fit` (teach), `ask` (ask), `find` (find), `modify`
(encode), `diagnose`; and a tuple `NEEDS` of what it cannot do without: "model", or fields of its argument that may be
empty, such as "generator" or "gallery". A method that trains also has `begin`, which takes the same and gives a
`langfield.suite.trainer.Training`. An asker that reads all texts as one question says `TOGETHER = True`; a finder that
changes questions alone and leaves the gallery as it is says `ONE_SIDE = True`; a teacher that reads no labels, and is
given all things of a scene, `UNLABELLED = True`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jaxtyping import Float, Int64
from torch import Tensor

from langfield.suite.head import Head

if TYPE_CHECKING:
    from langfield.suite.model import ClipModel

Encode = Callable[[Sequence[str]], Tensor]
"""Texts to unit vectors [n, D]."""
Writing = Literal["descriptions", "rewrites", "negatives"]
NONE_OF_THESE = -1
"""Label of an example that is shown as none of the names."""


class TextGenerator(Protocol):
    """Short texts about a name or sentence (`langfield.suite.textgen`)."""

    name: str
    """Spec string that makes it again, such as "templates" or "endpoint:SETTINGS.json"."""
    reduced: bool
    """Whether it knows nothing of the world, as templates do; said with every answer that rests on it."""

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Give at most `count` different texts, perhaps none.

        Args:
            kind: what can be seen of it; other words for it; what looks like it but is not it.
            text: a name or a sentence.
            count: how many are wanted.
        """
        ...


@dataclass(frozen=True)
class FewShotTask:
    """Examples of names in a scene, such as clicked things: what a Teacher learns from."""

    vectors: Float[Tensor, "M D"]
    """Unit vectors of the examples, as the field holds them: after the codec."""
    labels: Int64[Tensor, " M"]
    """Which name each example shows, NONE_OF_THESE for none."""
    names: tuple[str, ...]
    texts: Float[Tensor, "C D"]
    """Unit vector of each name's text."""
    negatives: Float[Tensor, "K D"]
    """Unit vectors of texts that fit anything (`langfield.query.relevancy.CANONICALS`); may have no rows."""
    other: Float[Tensor, "M E"] | None = None
    """Unit vectors of the same examples by another encoder, for methods that learn from a second one."""

    def __post_init__(self) -> None:
        labels, count = self.labels, len(self.names)
        if self.vectors.shape[0] != len(labels) or len(self.texts) != count or count == 0:
            raise ValueError(f"{len(self.vectors)} vectors, {len(labels)} labels, {len(self.texts)} texts of {count}")
        if len(labels) and (int(labels.min()) < NONE_OF_THESE or int(labels.max()) >= count):
            raise ValueError(f"labels go from {NONE_OF_THESE} to {count - 1}")
        if self.other is not None and len(self.other) != len(labels):
            raise ValueError(f"{len(self.other)} vectors of another encoder, {len(labels)} labels")


@dataclass(frozen=True)
class Question:
    """What an asker turns into a head."""

    texts: tuple[str, ...]
    """Names or sentences, each a row of the answer; for a change: what it was, what it is."""
    negatives: tuple[str, ...]
    """What names are held against."""
    generator: TextGenerator | None = None
    """Writes descriptions, rewrites and negatives for methods that want them."""
    gallery: Float[Tensor, "G D"] | None = None
    """Unit vectors of the things of this scene, nothing known of them."""


@dataclass(frozen=True)
class Language:
    """What classes are called in one language."""

    code: str
    """Such as "de"."""
    classes: Int64[Tensor, " c"]
    """Which classes have a name in it, as labels of items are numbered."""
    texts: Float[Tensor, "c D"]
    """Unit vector of each of these names."""


@dataclass(frozen=True)
class Items:
    """Things to find, link or diagnose: vectors of pictures, and where there are, words."""

    vectors: Float[Tensor, "M D"]
    texts: tuple[str, ...] | None = None
    """A name or caption each."""
    text_vectors: Float[Tensor, "M D"] | None = None
    """Unit vectors of those texts."""
    labels: Int64[Tensor, " M"] | None = None
    """Which entity each is, where that is known."""
    other: Float[Tensor, "M E"] | None = None
    """Unit vectors of the same pictures by another encoder."""
    languages: tuple[Language, ...] | None = None
    """What the labels are called in several languages."""


class Teacher(Protocol):
    """Examples to a head: the family `teach`. A method without a model ignores it."""

    def __call__(self, task: FewShotTask, model: ClipModel | None = None) -> Head:
        """Learn; the same task gives the same head."""
        ...


class Asker(Protocol):
    """Words to a head: the family `ask`."""

    def __call__(self, question: Question, encode: Encode) -> Head:
        """Give a head with a row of the answer for each text."""
        ...


class Finder(Protocol):
    """Items to a map into one space where cosine finds and links: the family `find`."""

    def __call__(self, items: Items, model: ClipModel | None = None) -> Callable[[Items], Tensor]:
        """Learn, and give what turns items into unit vectors."""
        ...


class Removable(Protocol):
    """A change of a model that can be taken back."""

    def remove(self) -> None:
        """Leave the model bit for bit as it was."""
        ...


class Modifier(Protocol):
    """Changes a model in place: the family `encode`."""

    def __call__(self, model: ClipModel) -> Removable:
        """Change it, and give what takes the change back."""
        ...


class Diagnoser(Protocol):
    """Items to rows of a report: the family `diagnose`."""

    def __call__(self, items: Items) -> list[dict[str, Any]]:
        """Give rows of plain data, worst first."""
        ...
