"""Sparse codes of 16-bit words asked without decoding: a code's product with a query is a sum of look-ups.

A word holds an atom and how many steps of it (`langfield.codec.words`); every code that is not zero holds one more
vector besides, the mean. Compiled for the CPU (cpu_words.cpp), else plain torch (`reference_words`).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int16
from torch import Tensor

from langfield.codec.words import MAX_ATOMS
from langfield.errors import FormatError
from langfield.raster import cpu_words, reference_words
from langfield.raster.dispatch import compiled_available

MOST_WORDS = 64


@torch.no_grad()
def word_scales(words: Int16[Tensor, "B K"], gram: Float[Tensor, "A+1 A+1"]) -> Float[Tensor, " B"]:
    """Give one over the length of each code's vector; 0 where a code holds no atom.

    Args:
        words: at most 64 a code; atoms beyond the table count as its last.
        gram: products of one step of each atom, and of the mean in the last row and column, with each other.

    Raises:
        FormatError: shapes or dtypes do not fit.
    """
    _check(words, gram)
    if gram.shape[0] != gram.shape[1]:
        raise FormatError("products of atoms with each other must be a square", f"gram {list(gram.shape)}")
    backend = cpu_words if _is_compiled(words, gram) else reference_words
    return backend.scales(words.contiguous(), gram.contiguous())


@torch.no_grad()
def word_scores(
    words: Int16[Tensor, "B K"],
    scale: Float[Tensor, " B"],
    table: Float[Tensor, "A+1 Q"],
    out: Float[Tensor, "B Q"] | None = None,
) -> Float[Tensor, "B Q"]:
    """Give the products of unit vectors with Q queries: scale (sum over words of steps table[atom] + table[-1]).

    Args:
        words: at most 64 a code; atoms beyond the table count as its last.
        scale: what `word_scales` gave.
        table: product of one step of each atom, and in the last row of the mean, with each query.
        out: where to put them, in any memory layout; None for a new tensor.

    Raises:
        FormatError: shapes or dtypes do not fit.
    """
    _check(words, table, scale, out)
    if out is None:
        out = table.new_empty((len(words), table.shape[1]))
    backend = cpu_words if _is_compiled(words, table) else reference_words
    backend.scores((words.contiguous(), scale.contiguous(), table.contiguous()), out)
    return out


@torch.no_grad()
def word_relevancy(
    words: Int16[Tensor, "B K"],
    scale: Float[Tensor, " B"],
    table: Float[Tensor, "A+1 Q"],
    nearest: Float[Tensor, " B"],
    gain: float,
) -> Float[Tensor, "Q B"]:
    """Give sigmoid(gain (`word_scores` - nearest)) in one pass over the codes.

    Args:
        words: at most 64 a code; atoms beyond the table count as its last.
        scale: what `word_scales` gave.
        table: product of one step of each atom, and in the last row of the mean, with each query.
        nearest: what each code's products are compared with.
        gain: steepness.

    Raises:
        FormatError: shapes or dtypes do not fit.
    """
    _check(words, table, scale, nearest)
    out = table.new_empty((table.shape[1], len(words)))
    backend = cpu_words if _is_compiled(words, table) else reference_words
    codes = words.contiguous(), scale.contiguous(), table.contiguous()
    backend.scores(codes, out.T, (nearest.contiguous(), gain))
    return out


def _is_compiled(words: Tensor, numbers: Tensor) -> bool:
    return words.device.type == "cpu" and numbers.dtype == torch.float32 and compiled_available()


def _check(words: Tensor, table: Tensor, *columns: Tensor | None) -> None:
    fits = words.dim() == 2 and 1 <= words.shape[1] <= MOST_WORDS and words.dtype == torch.int16
    if not fits:
        raise FormatError(f"codes must be int16 [B, K], K 1 to {MOST_WORDS}", f"{list(words.shape)} {words.dtype}")
    if table.dim() != 2 or not 2 <= len(table) <= MAX_ATOMS + 1 or table.shape[1] == 0:
        raise FormatError(f"a table has 2 to {MAX_ATOMS + 1} rows", f"table {list(table.shape)}")
    for column in columns:
        if column is not None and (len(column) != len(words) or column.dtype != table.dtype):
            where = f"{list(column.shape)} {column.dtype}"
            raise FormatError(f"there must be {len(words)} rows of {table.dtype}", where)
    if any(t is not None and t.device != words.device for t in (table, *columns)):
        raise FormatError("codes and numbers are not on one device", f"{words.device}, {table.device}")
