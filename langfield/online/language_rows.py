"""Names of Gaussians that outlive the rows they stand in, so that sums need not be touched when rows move."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from langfield.errors import FormatError, SettingsError
from langfield.field.lift import MAX_GAUSSIANS
from langfield.online.types import MapChange

CROWDED = 2**20
"""Names are given out anew when more than this many, and four times those in use, have been."""


class RowNames:
    """A number for every Gaussian that no other gets, by row."""

    def __init__(self) -> None:
        self.of_row = torch.zeros(0, dtype=torch.int64)
        self.given = 0
        """One above the largest name."""

    def __len__(self) -> int:
        return len(self.of_row)

    def follow(self, change: MapChange) -> None:
        """Move names with their rows, and name new rows.

        Raises:
            FormatError: a kept row was not there, or is kept twice.
            SettingsError: names have run out.
        """
        kept = change.kept.cpu()
        outside = len(kept) and (int(kept.min()) < 0 or int(kept.max()) >= len(self))
        if outside or len(torch.unique(kept)) != len(kept) or change.added < 0:
            raise FormatError(
                f"a change of the map keeps rows that are not among its {len(self)}",
                f"{len(kept)} kept, {change.added} added",
                "hand over every change once, in order",
            )
        if self.given + change.added > MAX_GAUSSIANS:
            raise SettingsError(f"a language map takes {MAX_GAUSSIANS} Gaussians at most, one after the other", None)
        new = torch.arange(self.given, self.given + change.added)
        self.of_row = torch.cat([self.of_row[kept], new])
        self.given += change.added

    def rows(self) -> Int64[Tensor, " G"]:
        """Give the row of every name, -1 for those that are gone."""
        row = torch.full((self.given,), -1)
        row[self.of_row] = torch.arange(len(self))
        return row

    def restore(self, of_row: Int64[Tensor, " N"], given: int) -> None:
        """Go on from saved names.

        Raises:
            FormatError: they cannot be names.
        """
        flat = of_row.dtype == torch.int64 and of_row.ndim == 1
        if not flat or not 0 <= given <= MAX_GAUSSIANS or len(torch.unique(of_row)) != len(of_row):
            raise FormatError("saved names of Gaussians are damaged", f"{tuple(of_row.shape)}", "start afresh")
        if len(of_row) and not 0 <= int(of_row.min()) <= int(of_row.max()) < given:
            raise FormatError("saved names of Gaussians are damaged", f"{given} given", "start afresh")
        self.of_row, self.given = of_row, given

    @property
    def crowded(self) -> bool:
        """Whether most names are of Gaussians that are gone."""
        return self.given > max(CROWDED, 4 * len(self))

    def give_anew(self) -> Int64[Tensor, " G"]:
        """Name rows by their numbers; gives the new name of every old one, -1 for those that are gone."""
        new = self.rows()
        self.of_row, self.given = torch.arange(len(self)), len(self)
        return new
