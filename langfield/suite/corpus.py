"""Pairs: pictures and what is said of them, the corpus that every training method of the suite learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Kind = Literal["short", "long", "negative", "tags"]


@dataclass(frozen=True)
class Caption:
    """One thing that is said, or must not be said, of a picture."""

    text: str
    kind: Kind = "short"
    """negative: near to the picture but wrong."""
    language: str = "en"
    source: str = "label"
    """Who said it: "label", "template", or a model's name."""


@dataclass(frozen=True)
class Pairs:
    """Pictures, or vectors of pictures, with captions each; made of a scene by `langfield.query.gather_pairs`."""

    captions: tuple[tuple[Caption, ...], ...]
    """Of each picture; at least one that is not negative."""
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]] | None = None
    """RGB, any sizes; may be read on demand."""
    vectors: Float[Tensor, "M D"] | None = None
    """Unit vectors of the pictures, where they are embedded already."""
    instances: Int64[Tensor, " M"] | None = None
    """Which thing each picture shows, the same number in all views of it."""

    def __post_init__(self) -> None:
        counts = {len(part) for part in (self.pictures, self.vectors, self.instances) if part is not None}
        if counts - {len(self)}:
            raise ValueError(f"captions of {len(self)} pictures, other parts of {sorted(counts)}")
        if any(not self.of(i) for i in range(len(self))):
            raise ValueError("every picture needs a caption that is not negative")

    def __len__(self) -> int:
        return len(self.captions)

    def of(self, row: int, *kinds: Kind) -> tuple[Caption, ...]:
        """Give a picture's captions of some kinds; without kinds all that are true of it."""
        wanted = kinds or ("short", "long", "tags")
        return tuple(caption for caption in self.captions[row] if caption.kind in wanted)
