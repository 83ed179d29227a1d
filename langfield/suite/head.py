"""Heads: affine forms over unit vectors, which every question, description and taught class ends in.

A field evaluates a head on its codes without decoding them (`langfield.query.heads`), because affine forms pass through
blending: what is expected along a ray of W f + b is W times the expected f, plus b.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from langfield.artefacts import read_tensors, write_tensors
from langfield.errors import FormatError, SettingsError

AGAINST = -1
"""Name number of rows that stand for no name: what names are held against."""
MAX_ROWS = 65_536
MAX_NAMES = 4096
MAX_SCALE = 1e4
KIND = "langfield-head"
HEADS = "heads"
"""Folder of a run that its heads lie in, whoever taught them."""
Inner = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Head:
    """Rows of W and b, the name each row counts for, and how sharply names are told apart.

    A name's score is the best of its rows (a mean of rows is itself a row). Its relevancy is the least over rivals of
    sigmoid(scale * (score - rival)), LERF's rule (arXiv 2303.09553, Section 3.4); a text query is the case with b = 0.
    """

    names: tuple[str, ...]
    weight: Float[Tensor, "R D"]
    bias: Float[Tensor, " R"]
    rows: tuple[int, ...]
    """Which of the names each row counts for; AGAINST for rows that names must beat."""
    scale: float
    """1 / temperature of the sigmoid."""
    rivals: bool = False
    """Whether names must beat each other too, as classes of which one is right."""
    about: tuple[tuple[str, str], ...] = ()
    """What made it, in words: method, what it was made of, what was chosen. Shown with answers."""

    def __post_init__(self) -> None:
        count = len(self.rows)
        if self.weight.ndim != 2 or self.weight.shape[0] != count or self.bias.shape != (count,):
            raise ValueError(f"{count} rows, weight {tuple(self.weight.shape)}, bias {tuple(self.bias.shape)}")
        if set(range(len(self.names))) != set(self.rows) - {AGAINST}:
            raise ValueError("every name needs a row, and every row a name or AGAINST")
        if AGAINST not in self.rows and not (self.rivals and len(self.names) > 1):
            raise ValueError("a head needs something its names are held against")

    @property
    def dim(self) -> int:
        """Width D of the vectors it reads."""
        return self.weight.shape[1]

    def rows_of(self, name: int) -> tuple[Float[Tensor, "r D"], Float[Tensor, " r"]]:
        """Give W and b of the rows of one name, or of AGAINST."""
        mine = torch.tensor(self.rows) == name
        return self.weight[mine], self.bias[mine]

    def margins(self, inner: Inner) -> Float[Tensor, "*B C"]:
        """Give by how much each name's score beats its strongest rival.

        Args:
            inner: gives the inner products [*B, r] of whatever is asked with rows [r, D].
        """
        return self._margins(lambda name: self._best(name, inner))

    def margins_of(self, products: Float[Tensor, "*B R"]) -> Float[Tensor, "*B C"]:
        """Give the same from inner products with all rows."""
        owner = torch.tensor(self.rows)

        def best(name: int) -> Float[Tensor, " *B"]:
            mine = owner == name
            return (products[..., mine.to(products.device)] + self.bias[mine].to(products)).amax(dim=-1)

        return self._margins(best)

    def _margins(self, best: Callable[[int], Tensor]) -> Float[Tensor, "*B C"]:
        scores = torch.stack([best(name) for name in range(len(self.names))], dim=-1)
        rival = torch.full_like(scores, -torch.inf)
        if AGAINST in self.rows:
            rival = rival.maximum(best(AGAINST)[..., None])
        if self.rivals and len(self.names) > 1:
            first, second = scores.topk(2, dim=-1).values.split(1, dim=-1)
            winner = one_hot(scores.argmax(dim=-1), len(self.names)).bool()
            rival = rival.maximum(torch.where(winner, second, first))
        return scores - rival

    def _best(self, name: int, inner: Inner) -> Float[Tensor, " *B"]:
        weight, bias = self.rows_of(name)
        products = inner(weight)
        return (products + bias.to(products)).amax(dim=-1)

    def only(self, name: int) -> Head:
        """Give the head of one name, which scores as it does here: what were its rivals it is held against."""
        kept = [i for i, row in enumerate(self.rows) if row in (name, AGAINST) or self.rivals]
        rows = tuple(0 if self.rows[i] == name else AGAINST for i in kept)
        return replace(
            self, names=self.names[name : name + 1], weight=self.weight[kept], bias=self.bias[kept], rows=rows,
            rivals=False,
        )  # fmt: skip

    def any_of(self) -> Head:
        """Give one name that any of the names answers, held against what they all are held against.

        Raises:
            SettingsError: they are held against each other alone.
        """
        if AGAINST not in self.rows:
            raise SettingsError("these names are held against each other alone", ", ".join(self.names), "ask for one")
        rows = tuple(min(row, 0) for row in self.rows)
        return replace(self, names=(" or ".join(self.names),), rows=rows, rivals=False)

    def relevancy(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, " C *B"]:
        """Give the relevancy of vectors to each name, 0 to 1.

        Args:
            vectors: unit vectors, or zero where there is nothing to see (relevancy 0.5).
        """
        found = torch.sigmoid(self.scale * self.margins(lambda rows: vectors @ rows.T.to(vectors)))
        return torch.where(vectors.any(dim=-1, keepdim=True), found, 0.5).movedim(-1, 0)


def head_file(names: Sequence[str]) -> str:
    """Give the file name of a head: what is readable of its names, and a hash that tells it from others."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", "_".join(names)).strip("-")[:40]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:8]
    return f"{readable or 'head'}-{digest}.safetensors"


def write_head(path: Path, head: Head) -> None:
    """Write a head as safetensors with its description.

    Raises:
        StorageError: the disk refuses.
    """
    tensors = {"weight": head.weight.float().contiguous(), "bias": head.bias.float().contiguous()}
    about = {"kind": KIND, "names": head.names, "rows": head.rows, "scale": head.scale, "rivals": head.rivals}
    write_tensors(path, tensors, about | {"about": dict(head.about)})


def read_head(path: Path) -> Head:
    """Read a head.

    Raises:
        FormatError: the file is none, is damaged, or its parts do not fit together.
    """
    tensors, about = read_tensors(path)
    try:
        return _head(tensors, about)
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"not a head: {str(error)[:80]}", path, "make it again") from error


def _head(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Head:
    names, rows, told = about["names"], about["rows"], about["about"]
    scale, rivals = about["scale"], about["rivals"]
    if about["kind"] != KIND or set(tensors) != {"weight", "bias"}:
        raise ValueError("other contents than weight and bias")
    if not isinstance(rows, list) or not isinstance(names, list) or not isinstance(told, dict):
        raise ValueError("names, rows or about have another type")
    if not 1 <= len(rows) <= MAX_ROWS or not 1 <= len(names) <= MAX_NAMES or not isinstance(rivals, bool):
        raise ValueError(f"{len(rows)} rows, {len(names)} names")
    if not all(type(row) is int for row in rows) or not all(isinstance(t, str) for t in (*names, *told.values())):
        raise ValueError("rows are whole numbers, names are texts")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < scale <= MAX_SCALE:
        raise ValueError(f"scale {str(scale)[:20]}")
    if any(t.dtype != torch.float32 or not torch.isfinite(t).all() for t in tensors.values()):
        raise ValueError("weight and bias are finite float32")
    return Head(
        tuple(names), tensors["weight"], tensors["bias"], tuple(rows), float(scale), rivals, tuple(told.items())
    )
