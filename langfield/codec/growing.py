"""A codebook that grows while vectors come: what its atoms explain badly becomes an atom.

Codes and files are those of `langfield.codec.codebook`. The mean is that of the first vectors and stays; atoms are
appended, so that codes given before mean the same, until the table is full: then the least used one is replaced, and
only codes that use it have to be made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.codebook import SAME, Codebook, CodebookSettings, words_of
from langfield.codec.pursuit import Pursuit, pursue
from langfield.codec.words import MAX_ATOMS, MAX_WEIGHT, Terms, unpack_words
from langfield.errors import FormatError, SettingsError

TURNS = 4
APART = 0.9
"""Badly explained vectors whose directions are nearer (cosine) share an atom, unless that does not do for both."""
HEADROOM = 1.5
"""Weights this many times the largest so far can be written; a larger one gives all codes another unit."""
RARE = 1
"""An atom that more codes use is not given up for another."""


@dataclass(frozen=True)
class Learnt:
    """What taking in vectors gave."""

    codes: Int[Tensor, "M K"]
    changed: Int64[Tensor, " C"]
    """Atoms that are others now, or whose weights count in another unit: codes that use them must be made again."""


class GrowingCodebook:
    """Atoms in a table of fixed size, of which the first `count` are there.

    Args:
        most: largest number of atoms, up to 1024.
        terms: atoms per code.
        explained: least cosine of a vector with what its code stands for, while there is room.

    Raises:
        SettingsError: one of them is out of range.
    """

    def __init__(self, most: int, terms: int = 6, explained: float = 0.97) -> None:
        if not (1 <= most <= MAX_ATOMS and 1 <= terms <= 16 and 0 < explained < 1):
            found = f"{most}, {terms}, {explained}"
            raise SettingsError("a growing codebook takes 1 to 1024 atoms, 1 to 16 terms, explained in 0 to 1", found)
        self.most, self.terms, self.explained = most, terms, explained
        self.count, self.unit = 0, 0.0
        self.basis = torch.zeros(most + 1, 0)
        """Atoms and, in the last row, the mean; as the file holds them, in half precision."""
        self.gram = torch.zeros(most + 1, most + 1)
        self.uses = torch.zeros(most, dtype=torch.int64)
        self._codec: Codebook | None = None

    @torch.no_grad()
    def take_in(self, vectors: Float[Tensor, "M D"]) -> Learnt:
        """Give the codes of new vectors, after making atoms of what is explained badly; they count as used.

        Args:
            vectors: of any length but zero.

        Raises:
            FormatError: vectors of another width came before, or some are not finite.
        """
        unit_vectors = self._checked(vectors)
        before, unit = self.count, self.unit
        fresh = torch.zeros(self.most, dtype=torch.bool)
        missed = torch.arange(len(vectors))
        codes = torch.zeros(len(vectors), self.terms, dtype=torch.int16)
        for turn in range(TURNS + 1):
            if self.count:
                codes[missed] = self._encode(unit_vectors[missed])
                missed = missed[self._cosine(unit_vectors[missed], codes[missed]) < self.explained]
            if turn == TURNS or not len(missed) or not self._grow(unit_vectors[missed], turn + 1 == TURNS, fresh):
                break
        if self.unit != unit:  # also codes made before it changed
            codes, fresh = self._encode(unit_vectors), torch.ones_like(fresh)
        self._use(codes, 1)
        return Learnt(codes, fresh[:before].nonzero()[:, 0])

    def encode_again(self, vectors: Float[Tensor, "M D"], old: Int[Tensor, "M K"]) -> Int[Tensor, "M K"]:
        """Give the codes of vectors that were taken in before, in place of their old ones."""
        self._use(old, -1)
        codes = self._words(self._pursue(normalize(vectors.float(), dim=-1)), vectors.any(dim=-1))
        self._use(codes, 1)
        return codes

    def using(self, codes: Int[Tensor, "M K"], atoms: Int64[Tensor, " C"]) -> Bool[Tensor, " M"]:
        """Say which codes use some of these atoms."""
        table = torch.zeros(self.most, dtype=torch.bool)
        table[atoms] = True
        index, steps = unpack_words(codes)
        return (table[index.long()] & (steps > 0)).any(dim=1)

    def release(self, codes: Int[Tensor, "M K"]) -> None:
        """Say that codes are no longer used."""
        self._use(codes, -1)

    def terms_of(self, codes: Int[Tensor, "M K"]) -> Terms:
        """Give codes as sums over the rows of `basis` of unit length, the mean last."""
        index, steps = unpack_words(codes)
        weight = torch.cat([steps * self.unit, (steps > 0).any(dim=1, keepdim=True).float()], dim=1)
        index = torch.cat([index, torch.full_like(index[:, :1], self.most)], dim=1)
        products = self.gram[index[:, :, None], index[:, None, :]]
        squares = torch.einsum("bs,bst,bt->b", weight, products, weight)
        return Terms(index, weight / squares.clamp_min(1e-12).sqrt()[:, None])

    def codec(self) -> Codebook:
        """Give the codebook as it is now; later growth does not touch it.

        Raises:
            FormatError: there is no atom yet.
        """
        if not self.count:
            raise FormatError("the codebook has no atoms yet", None, "add a keyframe with segments first")
        if self._codec is None:
            settings = CodebookSettings(atoms=self.most, terms=self.terms)
            rows, products = (torch.cat([t[: self.count], t[-1:]]) for t in (self.basis, self.gram))
            gram = torch.cat([products[:, : self.count], products[:, -1:]], dim=1)
            self._codec = Codebook(rows, self.unit, settings, {}, gram)
        return self._codec

    def _checked(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M D"]:
        if vectors.ndim != 2 or not torch.isfinite(vectors).all():
            raise FormatError("a codebook grows by finite vectors", f"shape {tuple(vectors.shape)}")
        width = self.basis.shape[1]
        if self.count and vectors.shape[1] != width:
            raise FormatError(f"vectors have {vectors.shape[1]} numbers, those before had {width}", "codebook")
        unit_vectors = normalize(vectors.detach().float().cpu(), dim=-1)
        if not self.count and len(vectors):
            self.basis = torch.zeros(self.most + 1, vectors.shape[1])
            self._put(torch.tensor([self.most]), unit_vectors.mean(dim=0, keepdim=True))
        return unit_vectors

    def _pursue(self, unit_vectors: Float[Tensor, "M D"]) -> Pursuit:
        atoms = self.basis[: self.count]
        gram = self.gram[: self.count, : self.count].contiguous()
        return pursue(unit_vectors - self.basis[-1], atoms, self.terms, gram)

    def _encode(self, unit_vectors: Float[Tensor, "M D"]) -> Int[Tensor, "M K"]:
        """Give codes in a unit that is made large enough for them."""
        if not len(unit_vectors):
            return torch.zeros(0, self.terms, dtype=torch.int16)
        found = self._pursue(unit_vectors)
        largest = float(found.weight.max())
        if largest > self.unit * MAX_WEIGHT:
            self.unit = max(largest * HEADROOM / MAX_WEIGHT, 1e-6)
            self._codec = None
        return self._words(found, unit_vectors.any(dim=-1))

    def _words(self, found: Pursuit, seen: Bool[Tensor, " M"]) -> Int[Tensor, "M K"]:
        return words_of(found, seen, self.unit, self.terms)

    def _cosine(self, unit_vectors: Float[Tensor, "M D"], codes: Int[Tensor, "M K"]) -> Float[Tensor, " M"]:
        return (self.terms_of(codes).blend(self.basis) * unit_vectors).sum(dim=1)

    def _grow(self, missed: Float[Tensor, "B D"], last: bool, fresh: Bool[Tensor, " A"]) -> bool:
        """Make atoms of missed vectors as far as there is room; says whether it made any."""
        centred = missed - self.basis[-1]
        centred = centred[centred.norm(dim=1) > SAME]
        if not len(centred) and self.count:
            return False
        directions = normalize(centred if len(centred) else missed[:1], dim=1)
        wanted = directions[_spread(directions, 1 - 1e-3 if last else APART)]
        places = self._room(len(wanted), fresh)
        self._put(places, wanted[: len(places)])
        self.count = max(self.count, int(places.max()) + 1 if len(places) else 0)
        fresh[places] = True
        return len(places) > 0

    def _room(self, wanted: int, fresh: Bool[Tensor, " A"]) -> Int64[Tensor, " P"]:
        """Give free places, then those of atoms that hardly any code uses, the least used first."""
        free = torch.arange(self.count, min(self.count + wanted, self.most))
        old = torch.arange(self.count)[~fresh[: self.count] & (self.uses[: self.count] <= RARE)]
        order = old[self.uses[old].argsort(stable=True)]
        return torch.cat([free, order[: wanted - len(free)]])

    def _put(self, places: Int64[Tensor, " P"], rows: Float[Tensor, "P D"]) -> None:
        self.basis[places] = rows.half().float()
        products = self.basis[places] @ self.basis.T
        self.gram[places] = products
        self.gram[:, places] = products.T
        self._codec = None

    def _use(self, codes: Int[Tensor, "M K"], sign: int) -> None:
        index, steps = unpack_words(codes)
        self.uses += sign * torch.bincount(index[steps > 0].long(), minlength=self.most)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a later process needs but how often atoms are used, which follows from the codes."""
        tensors = {"atoms": self.basis[: self.count].half(), "mean": self.basis[-1].half()}
        return tensors, {"most": self.most, "terms": self.terms, "explained": self.explained, "unit": self.unit}

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from `state`; call `recount` with the codes that are in use.

        Raises:
            FormatError: the state is of another kind of codebook, or damaged.
        """
        atoms, mean, unit = tensors.get("atoms"), tensors.get("mean"), about.get("unit")
        mine = {"most": self.most, "terms": self.terms, "explained": self.explained}
        if atoms is None or mean is None or any(about.get(k) != v for k, v in mine.items()):
            raise FormatError("saved codebook is of another size", str(dict(about))[:200], "start afresh")
        fits = atoms.ndim == 2 and len(atoms) <= self.most and mean.shape == atoms.shape[1:]
        if not fits or not isinstance(unit, float) or not 0 <= unit < 1e3:
            raise FormatError("saved codebook is damaged", f"atoms {tuple(atoms.shape)}, unit {unit}", "start afresh")
        self.count, self.unit = len(atoms), unit
        self.basis = torch.zeros(self.most + 1, atoms.shape[1])
        self.basis[: self.count], self.basis[-1] = atoms.float(), mean.float()
        self.gram = self.basis @ self.basis.T
        self.uses.zero_()
        self._codec = None

    def recount(self, codes: Int[Tensor, "M K"]) -> None:
        """Say which codes are in use, after `load_state`."""
        self.uses.zero_()
        self._use(codes, 1)


def _spread(directions: Float[Tensor, "B D"], apart: float) -> Int64[Tensor, " C"]:
    """Choose rows none of which is nearer (cosine) than `apart` to another."""
    alike = directions @ directions.T
    chosen: list[int] = []
    for row in range(len(directions)):
        if not chosen or float(alike[row, chosen].max()) < apart:
            chosen.append(row)
    return torch.tensor(chosen)
