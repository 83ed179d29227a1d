"""Whether exchanged words are noticed: a caption against its swapped twin, and Winoground's three scores."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def swap_accuracy(images: Float[Tensor, "N D"], true: Float[Tensor, "N D"], false: Float[Tensor, "N D"]) -> float:
    """Give the share of images nearer to their true caption than to its swapped twin; a tie is wrong, chance is 0.5."""
    return float(((images * true).sum(1) > (images * false).sum(1)).double().mean())


def winoground(scores: Float[Tensor, "N 2 2"]) -> dict[str, float]:
    """Give Winoground's text, image and group score (arXiv 2204.03162, Section 4.1): chance 1/4, 1/4, 1/6.

    Args:
        scores: of the two captions (second axis) and the two images (third axis) of each example; caption i is of
            image i.
    """
    own = scores.diagonal(dim1=1, dim2=2)
    text = (own > scores.flip(1).diagonal(dim1=1, dim2=2)).all(1)  # the other caption, the same image
    image = (own > scores.flip(2).diagonal(dim1=1, dim2=2)).all(1)
    parts = {"text": text, "image": image, "group": text & image}
    return {name: float(right.double().mean()) for name, right in parts.items()}
