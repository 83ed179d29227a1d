"""Questions to codes that are never decoded: products with queries are sums over codes, and blending is a sum too.

For a field whose codec is linear. Pixels get the cosine expected along their ray, sum w_j cos(q, f_j) / sum w_j, where
LangSplat takes the cosine of the blended vector, sum w_j f_j . q / |sum w_j f_j|: the same wherever a ray meets one
thing, and a picture of few numbers instead of one of vectors.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from langfield.capture.types import Camera
from langfield.codec import Codebook
from langfield.codec.words import unpack_words
from langfield.field.types import Field
from langfield.query.relevancy import TEMPERATURE, Phrases, relevancy_from
from langfield.raster import RasterOptions, View, rasterize, splat_channels, to_screen

ROWS_AT_ONCE = 2**16
LEAST_SEEN = 0.3
"""A pixel of which less than this lies on Gaussians with a code says nothing: it gets 0.5."""


class Similarity:
    """Products of every Gaussian's vector with phrases; what costs once per field is made once.

    Args:
        field: one with codes of a linear codec.
    """

    def __init__(self, field: Field) -> None:
        if field.codes is None or field.codec is None or not field.codec.linear:
            raise ValueError("the field has no codes that can be asked without decoding")
        self._codec, self._codes = field.codec, field.codes
        self._words = _Words(field.codec, field.codes) if isinstance(field.codec, Codebook) else None
        self._canonicals: tuple[Tensor, Tensor] | None = None

    @property
    def seen(self) -> Bool[Tensor, "L N"]:
        """Whether a Gaussian has a code at a level."""
        return (self._codes != 0).any(dim=-1)

    def products(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "L N P"]:
        """Give the inner product of every Gaussian's unit vector with each query; 0 where it has none."""
        shape = self._codes.shape[:2]
        if self._words is not None:
            return self._words.products(queries).unflatten(0, shape)
        parts = self._codes.flatten(0, 1).split(ROWS_AT_ONCE)
        return torch.cat([self._codec.inner(part, queries) for part in parts]).unflatten(0, shape)

    def channels(self, phrases: Phrases) -> Float[Tensor, "L N P+1"]:
        """Give what a view of a question blends: products with phrases and canonical phrases, and `seen`."""
        products = self.products(torch.cat([phrases.positives, phrases.canonicals]))
        return torch.cat([products, self.seen[..., None].to(products)], dim=-1)

    def relevancy(self, phrases: Phrases) -> Float[Tensor, "Q L N"]:
        """Give the relevancy of every Gaussian, per phrase and level; 0.5 where no view has shown it."""
        if self._canonicals is None or not torch.equal(self._canonicals[0], phrases.canonicals):
            self._canonicals = phrases.canonicals, self.products(phrases.canonicals).amax(dim=-1, keepdim=True)
        return phrases.join(relevancy_from(self.products(phrases.positives), self._canonicals[1]))


class _Words:
    """A codebook's codes as look-ups: of what each of the 65,536 words adds to a product, and of the code's length."""

    def __init__(self, codec: Codebook, codes: Int[Tensor, "L N K"]) -> None:
        flat = codes.flatten(0, 1)
        self._codec, self._index = codec, flat.int() & 0xFFFF
        lengths = [codec.terms(part).weight[:, -1] for part in flat.split(ROWS_AT_ONCE)]  # the mean has weight 1
        self._scale = torch.cat(lengths)[:, None]
        atom, steps = unpack_words(torch.arange(2**16).to(torch.int16))
        self._atom, self._weight = atom.clamp_max(len(codec.atoms) - 1), steps[:, None] * codec.unit

    def products(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "B P"]:
        table = self._codec.table(queries)
        found = embedding_bag(self._index, table[self._atom] * self._weight, mode="sum")
        return found.add_(table[-1]).mul_(self._scale)


class StillView:
    """One camera's view of a field, asked again and again: a new question draws one number a phrase and level.

    Args:
        field: one with codes of a linear codec.
        camera: where it is seen from.
        similarity: made of the field, where it is at hand.
    """

    def __init__(self, field: Field, camera: Camera, similarity: Similarity | None = None) -> None:
        self._similarity = similarity or Similarity(field)
        self._screen = to_screen(field.gaussians, camera, RasterOptions(colour=False))
        self._canonicals: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def maps(self, phrases: Phrases) -> Float[Tensor, "Q L H W"]:
        """Give the relevancy of every pixel, per phrase and level; the canonical phrases are drawn once."""
        if self._canonicals is not None and torch.equal(self._canonicals[0], phrases.canonicals):
            wanted = self._draw(self._similarity.products(phrases.positives))
            return phrases.join(expected_relevancy(wanted, *self._canonicals[1:]))
        drawn = self._draw(self._similarity.channels(phrases))
        wanted, nearest, gain = split_channels(drawn, len(phrases.positives))
        self._canonicals = phrases.canonicals, nearest, gain
        return phrases.join(expected_relevancy(wanted, nearest, gain))

    def _draw(self, products: Float[Tensor, "L N P"]) -> Float[Tensor, "H W L P"]:
        flat = products.movedim(0, 1).flatten(1).to(self._screen.splats.means2d).contiguous()
        return splat_channels(self._screen, flat).unflatten(-1, (len(products), -1))


def split_channels(
    drawn: Float[Tensor, "H W L P+1"], many: int
) -> tuple[Float[Tensor, "H W L Q"], Float[Tensor, "H W L 1"], Float[Tensor, "H W L 1"]]:
    """Take blended `Similarity.channels` apart for `expected_relevancy`; `many` is the number of positives."""
    covered = drawn[..., -1:]
    gain = torch.where(covered > LEAST_SEEN, TEMPERATURE / covered.clamp_min(LEAST_SEEN), 0.0)
    return drawn[..., :many], drawn[..., many:-1].amax(dim=-1, keepdim=True), gain


def expected_relevancy(
    wanted: Float[Tensor, "H W L Q"], nearest: Float[Tensor, "H W L 1"], gain: Float[Tensor, "H W L 1"]
) -> Float[Tensor, "Q L H W"]:
    """Give relevancies of the cosines expected along rays.

    Args:
        wanted: blended products with the phrases.
        nearest: the largest of the blended products with the canonical phrases.
        gain: temperature by the blend weight of Gaussians that have a code; 0, which gives 0.5, where that is little.
    """
    return (wanted - nearest).mul_(gain).sigmoid_().permute(3, 2, 0, 1)


@torch.no_grad()
def similar_view(
    field: Field, camera: Camera, phrases: Phrases, level: int | None = None, colour: bool = False
) -> tuple[Float[Tensor, "Q L H W"], View]:
    """Draw relevancies, and if wanted the picture, in one pass.

    Args:
        field: one with codes of a linear codec.
        camera: where it is seen from.
        phrases: what is asked.
        level: only this one; None for all.
        colour: draw the picture too.
    """
    channels = Similarity(field).channels(phrases)
    channels = channels if level is None else channels[level : level + 1]
    flat = channels.movedim(0, 1).flatten(1).to(field.gaussians.means).contiguous()
    view = rasterize(field.gaussians, camera, channels=flat, options=RasterOptions(colour=colour))
    drawn = cast(Tensor, view.channels).unflatten(-1, (len(channels), -1))
    return phrases.join(expected_relevancy(*split_channels(drawn, len(phrases.positives)))), view
