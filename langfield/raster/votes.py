"""Sparse codes of many Gaussians from the votes of views, without forming vectors; on the CPU, compiled.

What `langfield.field.lift_solve.lift_codes` does for a whole scene this does for the rows that changed, in about a
fortieth of the time: a vote is the sparse code of a segment, and a row's sum is written with its heaviest atoms again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int16, Int32, Int64
from torch import Tensor

from langfield.errors import SettingsError
from langfield.raster.build import library
from langfield.raster.cpu import arguments, threads_for

MOST_TERMS = 16
WORTH_ROWS = 2048


@dataclass(frozen=True)
class ViewVotes:
    """What one view says; as `field.lift.Sums` holds it."""

    key: Int64[Tensor, " M"]
    """Level, Gaussian and segment packed, rising."""
    steps: Int64[Tensor, "M 2"]
    """Weight that passed the gate, and all weight."""
    first_segment: int
    """Where the view's segments begin among those of `VoteCodes`."""


@dataclass(frozen=True)
class VoteCodes:
    """What segments stand for."""

    index: Int32[Tensor, "S T"]
    """Rows of `gram`; the last of each is the mean's, which is the last row."""
    weight: Float32[Tensor, "S T"]
    """Of each; the code's vector has unit length."""
    gram: Float32[Tensor, "A+1 A+1"]
    """Products of atoms, and of the mean, with each other."""
    unit: float
    """Weight of one step of a word."""


@dataclass(frozen=True)
class VoteRows:
    """Which rows are wanted, and how."""

    gaussian: Int64[Tensor, " n"]
    """Rising."""
    levels: int
    thin_steps: int
    """A row whose weight behind the gate is less takes all weight instead."""
    words: int
    """K words of a code, at most 16."""


@torch.no_grad()
def solve_votes(
    views: Sequence[ViewVotes], codes: VoteCodes, rows: VoteRows
) -> tuple[Int16[Tensor, "L n K"], Float32[Tensor, "L n"]]:
    """Give the codes of rows and their reliability: the length of the mean of the votes times how many views share.

    Args:
        views: what views say; all on the CPU.
        codes: of their segments.
        rows: which Gaussians.

    Raises:
        SettingsError: a code has more than 16 words.
    """
    if not 1 <= rows.words <= MOST_TERMS:
        raise SettingsError(f"codes of {rows.words} words cannot be solved for", None, f"take 1 to {MOST_TERMS} terms")
    n = len(rows.gaussian)
    words = torch.zeros(rows.levels, n, rows.words, dtype=torch.int16)
    reliability = torch.zeros(rows.levels, n)
    if n == 0 or not views:
        return words, reliability
    held = [(v.key.contiguous(), v.steps.contiguous()) for v in views]  # must outlive the call
    table = torch.tensor([
        [k.data_ptr() for k, _ in held], [s.data_ptr() for _, s in held],
        [len(k) for k, _ in held], [v.first_segment for v in views],
    ])  # fmt: skip
    index, weight, gram = codes.index.int().contiguous(), codes.weight.contiguous(), codes.gram.contiguous()
    gaussian, unit = rows.gaussian.contiguous(), torch.tensor(codes.unit, dtype=torch.float32)
    library().lf_solve_votes(
        *arguments(*table, len(views), index, weight, index.shape[1], gram, len(gram), unit),
        *arguments(gaussian, n, rows.levels, rows.thin_steps, rows.words, threads_for(n, WORTH_ROWS)),
        *arguments(words, reliability),
    )
    return words, reliability
