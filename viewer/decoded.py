"""Codes decoded once per page, so that a question costs one product with a small table."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.types import Codec
from langfield.query.image import NO_LATENT
from langfield.query.relevancy import Phrases

STEPS = 64
"""Codes that agree to 1/64 in every number count as one; on the sphere that is about a degree."""
WIDEST = 16
"""Wider codes are not rounded: hardly two of them would agree."""
ROWS_AT_ONCE = 2**15


class DecodedCodes:
    """The embeddings of all Gaussians at all levels, as a table of the different ones and an index into it."""

    def __init__(self, codes: Float[Tensor, "L N d"], codec: Codec) -> None:
        self._shape = codes.shape[:2]
        flat = codes.detach().float().cpu().flatten(0, 1)
        length = flat.norm(dim=-1, keepdim=True)
        flat = torch.where(length > NO_LATENT, flat / length.clamp_min(1e-12), 0.0)
        self._index = torch.arange(len(flat))
        if flat.shape[-1] <= WIDEST:
            cells, self._index = torch.unique((flat * STEPS).round().to(torch.int8), dim=0, return_inverse=True)
            flat = torch.zeros(len(cells), flat.shape[-1]).index_add_(0, self._index, flat)
            flat = normalize(flat, dim=-1)
        with torch.no_grad():
            self._table = torch.cat([codec.decode(part) for part in flat.split(ROWS_AT_ONCE)])

    def __len__(self) -> int:
        """Number of different embeddings."""
        return len(self._table)

    def relevancy(self, phrases: Phrases) -> Float[Tensor, "Q L N"]:
        """Give the relevancy of every Gaussian, per phrase and level; 0.5 where no view has shown it."""
        return phrases.scores(self._table)[:, self._index].unflatten(1, self._shape)

    def products(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "L N P"]:
        """Give the inner product of every Gaussian's unit vector with each query."""
        return (self._table @ queries.T.to(self._table))[self._index].unflatten(0, self._shape)
