"""Codes of the map as it grows: only rows that a changed keyframe speaks of are solved again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

from langfield.codec.growing import GrowingCodebook
from langfield.field.lift import STEPS_PER_PX
from langfield.field.lift_solve import LiftSettings
from langfield.online.language_looks import Look
from langfield.online.language_rows import RowNames
from langfield.online.types import MapChange
from langfield.raster.votes import ViewVotes, VoteCodes, VoteRows, solve_votes


class LiveCodes:
    """Codes and reliability by row, and which of them are out of date."""

    def __init__(self, levels: int, words: int) -> None:
        self.codes: Int16[Tensor, "L N K"] = torch.zeros(levels, 0, words, dtype=torch.int16)
        self.reliability: Float[Tensor, "L N"] = torch.zeros(levels, 0)
        self.dirty = torch.zeros(0, dtype=torch.bool)

    def follow(self, change: MapChange) -> None:
        """Move codes with their rows; new rows have none, and none is due to them."""
        kept = change.kept.cpu()
        levels, _, words = self.codes.shape
        self.codes = torch.cat([self.codes[:, kept], self.codes.new_zeros(levels, change.added, words)], dim=1)
        self.reliability = torch.cat([self.reliability[:, kept], torch.zeros(levels, change.added)], dim=1)
        self.dirty = torch.cat([self.dirty[kept], torch.zeros(change.added, dtype=torch.bool)])

    def mark(self, names: Int64[Tensor, " P"], rows: Int64[Tensor, " G"]) -> None:
        """Say that what is known of Gaussians has changed.

        Args:
            names: of the Gaussians; they may recur and be gone.
            rows: row of every name, -1 for those that are gone.
        """
        at = rows[names]
        self.dirty[at[at >= 0]] = True

    def solve(self, looks: Sequence[Look], names: RowNames, book: GrowingCodebook, settings: LiftSettings) -> int:
        """Bring what is out of date up to date; gives the number of Gaussians that were."""
        due = self.dirty.nonzero()[:, 0]
        if not len(due):
            return 0
        wanted, order = names.of_row[due].sort()
        votes, segments = [], 0
        for look in looks:
            votes.append(ViewVotes(look.sums.key, look.sums.steps, segments))
            segments += len(look.codes)
        levels, _, words = self.codes.shape
        terms = book.terms_of(torch.cat([look.codes for look in looks])) if looks else None
        if terms is not None:
            told = VoteCodes(terms.index, terms.weight, book.gram, book.unit)
            thin = round(settings.thin_px * STEPS_PER_PX)
            rows = VoteRows(wanted, levels, thin, words)
            self.codes[:, due[order]], self.reliability[:, due[order]] = solve_votes(votes, told, rows)
        else:
            self.codes[:, due], self.reliability[:, due] = 0, 0
        self.dirty[due] = False
        return len(due)
