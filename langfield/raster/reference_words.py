"""The specification of codes of words in plain torch: any float dtype and device, bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from langfield.codec.words import unpack_words

ROWS_AT_ONCE = 2**16


def scales(words: Tensor, gram: Tensor) -> Tensor:
    """Give 1 / |x|, |x|^2 = w^T G w with w the steps of a code's atoms and 1 for the mean; 0 where there are none."""
    return torch.cat([_scales(part, gram) for part in words.split(ROWS_AT_ONCE)])


def _scales(words: Tensor, gram: Tensor) -> Tensor:
    index, steps = _terms(words, len(gram), gram.dtype)
    squares = torch.einsum("bs,bst,bt->b", steps, gram[index[:, :, None], index[:, None, :]], steps)
    return squares.clamp_min(1e-12).rsqrt() * steps[:, -1]


def scores(codes: tuple[Tensor, Tensor, Tensor], out: Tensor, against: tuple[Tensor, float] | None = None) -> None:
    """Put x = scale * sum of w_s table[s] into `out` [B, Q], or with `against` sigmoid(gain (x - nearest))."""
    words, scale, table = codes
    for first in range(0, len(words), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        index, steps = _terms(words[rows], len(table), table.dtype)
        found = embedding_bag(index, table, per_sample_weights=steps, mode="sum") * scale[rows, None]
        if against is not None:
            found = torch.sigmoid(against[1] * (found - against[0][rows, None]))
        out[rows] = found


def _terms(words: Tensor, rows: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Give rows of the table and steps, the mean's among them."""
    atom, steps = unpack_words(words)
    mean, seen = torch.full_like(atom[:, :1], rows - 1), (steps > 0).any(dim=1, keepdim=True)
    return torch.cat([atom.clamp_max(rows - 2), mean], dim=1), torch.cat([steps, seen], dim=1).to(dtype)
