"""Questions to codes that are never decoded: products with queries are sums over codes, and blending is a sum too.

For a field whose codec is linear. Pixels get the cosine expected along their ray, sum w_j cos(q, f_j) / sum w_j, where
LangSplat takes the cosine of the blended vector, sum w_j f_j . q / |sum w_j f_j|: the same wherever a ray meets one
thing, and a picture of few numbers instead of one of vectors.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.codec import Codebook
from langfield.codec.words import Terms
from langfield.field.types import Field
from langfield.query.relevancy import NEUTRAL, Phrases, relevancy_from
from langfield.raster import RasterOptions, Screen, View, rasterize, to_screen
from langfield.raster.screen import draw

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
        self._terms: Terms | None = None
        if isinstance(field.codec, Codebook):
            terms = field.codec.terms(field.codes)
            self._terms = Terms(terms.index.int(), terms.weight)

    @property
    def seen(self) -> Bool[Tensor, "L N"]:
        """Whether a Gaussian has a code at a level."""
        return (self._codes != 0).any(dim=-1)

    def products(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "L N P"]:
        """Give the inner product of every Gaussian's unit vector with each query; 0 where it has none."""
        shape = self._codes.shape[:2]
        if self._terms is not None:
            table = cast(Codebook, self._codec).table(queries)
            return self._terms.blend(table).unflatten(0, shape)
        parts = self._codes.flatten(0, 1).split(ROWS_AT_ONCE)
        return torch.cat([self._codec.inner(part, queries) for part in parts]).unflatten(0, shape)

    def relevancy(self, phrases: Phrases) -> Float[Tensor, "Q L N"]:
        """Give the relevancy of every Gaussian, per phrase and level; 0.5 where no view has shown it."""
        found = self.products(torch.cat([phrases.positives, phrases.canonicals]))
        return relevancy_from(found[..., : len(phrases)], found[..., len(phrases) :])


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
        self._covered = self._draw(self._similarity.seen[..., None].float())[..., 0]
        self._canonicals: tuple[Tensor, Tensor] | None = None

    def maps(self, phrases: Phrases) -> Float[Tensor, "Q L H W"]:
        """Give the relevancy of every pixel, per phrase and level; the canonical phrases are drawn once."""
        if self._canonicals is None or not torch.equal(self._canonicals[0], phrases.canonicals):
            self._canonicals = phrases.canonicals, self._draw(self._similarity.products(phrases.canonicals))
        wanted = self._draw(self._similarity.products(phrases.positives))
        return expected_relevancy(wanted, self._canonicals[1], self._covered)

    def _draw(self, products: Float[Tensor, "L N P"]) -> Float[Tensor, "L H W P"]:
        return _blend(self._screen, products)


def expected_relevancy(
    wanted: Float[Tensor, "L H W Q"], canonical: Float[Tensor, "L H W K"], covered: Float[Tensor, "L H W"]
) -> Float[Tensor, "Q L H W"]:
    """Give relevancies of the cosines expected along rays.

    Args:
        wanted: blended products with the phrases.
        canonical: blended products with the canonical phrases.
        covered: blend weight of the Gaussians that have a code.
    """
    share = covered.clamp_min(1e-6)[..., None]
    found = relevancy_from(wanted / share, canonical / share)
    return torch.where(covered > LEAST_SEEN, found, NEUTRAL)


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
    similarity, many = Similarity(field), len(phrases)
    products = similarity.products(torch.cat([phrases.positives, phrases.canonicals]))
    channels = torch.cat([products, similarity.seen[..., None].float()], dim=-1)
    channels = channels if level is None else channels[level : level + 1]
    flat = channels.movedim(0, 1).flatten(1).to(field.gaussians.means).contiguous()
    view = rasterize(field.gaussians, camera, channels=flat, options=RasterOptions(colour=colour))
    drawn = cast(Tensor, view.channels).unflatten(-1, (len(channels), -1)).movedim(2, 0)
    return expected_relevancy(drawn[..., :many], drawn[..., many:-1], drawn[..., -1]), view


def _blend(screen: Screen, products: Float[Tensor, "L N P"]) -> Float[Tensor, "L H W P"]:
    flat = products.movedim(0, 1).flatten(1).to(screen.splats.means2d).contiguous()
    drawn = cast(Tensor, draw(screen, flat, colour=False).channels)
    return drawn.unflatten(-1, (len(products), products.shape[2])).movedim(2, 0)
