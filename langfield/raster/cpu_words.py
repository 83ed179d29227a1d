"""The compiled look-ups of `langfield.raster.words` as functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from langfield.raster.build import library
from langfield.raster.cpu import BLOCK, arguments, threads_for


def scales(words: Tensor, gram: Tensor) -> Tensor:
    """Give one over the length of each code's vector; see `reference_words.scales`."""
    out, (n, k) = gram.new_empty(len(words)), words.shape
    library().lf_word_scales(*arguments(words, n, k, gram, len(gram) - 1, threads_for(n, 4 * BLOCK), out))
    return out


def scores(codes: tuple[Tensor, Tensor, Tensor], out: Tensor, against: tuple[Tensor, float] | None = None) -> None:
    """Fill `out` [B, Q] of any strides; see `reference_words.scores`."""
    words, scale, table = codes
    nearest, gain = against or (None, 0.0)
    steepness, (n, k), (rows, queries) = torch.tensor(gain, dtype=torch.float32), words.shape, table.shape
    library().lf_word_scores(
        *arguments(words, n, k, table, rows - 1, queries, scale, nearest, steepness, threads_for(n, 4 * BLOCK)),
        *arguments(out, *out.stride()),
    )
