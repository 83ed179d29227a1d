"""Questions to codes that are never decoded: products with queries are sums over codes, and blending is a sum too.

For a field whose codec is linear. Pixels get the cosine expected along their ray, sum w_j cos(q, f_j) / sum w_j, where
LangSplat takes the cosine of the blended vector, sum w_j f_j . q / |sum w_j f_j|: the same wherever a ray meets one
thing, and a picture of few numbers instead of one of vectors.
"""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Bool, Float, Int16, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.codec import Codebook
from langfield.field.types import Field
from langfield.query.relevancy import NEUTRAL, TEMPERATURE, Phrases, relevancy_from
from langfield.raster import (
    RasterOptions,
    View,
    blend_kept,
    blend_kept_against,
    blend_kept_relevancy,
    keep_weights,
    rasterize,
    splat_channels,
    to_screen,
    word_relevancy,
    word_scales,
    word_scores,
)
from langfield.raster.kept import MOST_BYTES
from langfield.raster.threads import kernels_only
from langfield.suite.head import Head

ROWS_AT_ONCE = 2**16
LEAST_SEEN = 0.3
"""A pixel of which less than this lies on Gaussians with a code says nothing: it gets 0.5."""


class Similarity:
    """Products of every Gaussian's vector with phrases; what costs once per field is made once.

    Args:
        field: one with codes of a linear codec.
        level: only this one; None for all.
        rows: only these Gaussians, in this order; None for all.
    """

    def __init__(self, field: Field, level: int | None = None, rows: Int64[Tensor, " S"] | None = None) -> None:
        if field.codes is None or field.codec is None or not field.codec.linear:
            raise ValueError("the field has no codes that can be asked without decoding")
        codes = field.codes if level is None else field.codes[level : level + 1]
        self._codec, self._codes = field.codec, codes if rows is None else codes[:, rows.to(codes.device)]
        self._words = _Words(field.codec, self._codes) if isinstance(field.codec, Codebook) else None
        self._canonicals: tuple[Tensor, Tensor] | None = None

    @property
    def levels(self) -> int:
        """Number L of levels."""
        return len(self._codes)

    @property
    def seen(self) -> Bool[Tensor, "L N"]:
        """Whether a Gaussian has a code at a level."""
        return (self._codes != 0).any(dim=-1) if self._words is None else self._words.scale != 0

    def products(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "L N P"]:
        """Give the inner product of every Gaussian's unit vector with each query; 0 where it has none."""
        levels, many = self._codes.shape[:2]
        if self._words is not None:
            return self._words.fill(queries, torch.empty(levels, many, len(queries)))
        parts = self._codes.flatten(0, 1).split(ROWS_AT_ONCE)
        return torch.cat([self._codec.inner(part, queries) for part in parts]).unflatten(0, (levels, many))

    def channels(self, queries: Float[Tensor, "P D"]) -> Float[Tensor, "N C"]:
        """Give the same as channels to blend: query by query, level by level in each."""
        levels, many = self._codes.shape[:2]
        if self._words is None:
            return self.products(queries).permute(1, 2, 0).flatten(1).contiguous()
        out = torch.empty(many, len(queries), levels)
        self._words.fill(queries, out.permute(2, 0, 1))
        return out.flatten(1)

    def general(self, phrases: Phrases) -> Float[Tensor, "N C"]:
        """Give the channels that no phrase changes: products with canonical phrases, and whether there is a code."""
        channels = self.channels(phrases.canonicals)
        return torch.cat([channels, self.seen.T.to(channels)], dim=1)

    def relevancy(self, phrases: Phrases) -> Float[Tensor, "Q L N"]:
        """Give the relevancy of every Gaussian, per phrase and level; 0.5 where no view has shown it."""
        if phrases.head is not None:
            return formed(phrases.head, phrases.head.margins(self.products), self.seen)
        if self._canonicals is None or not torch.equal(self._canonicals[0], phrases.canonicals):
            self._canonicals = phrases.canonicals, self.products(phrases.canonicals).amax(dim=-1)
        if self._words is not None:
            return phrases.join(self._words.relevancy(phrases.positives, self._canonicals[1]))
        return phrases.join(relevancy_from(self.products(phrases.positives), self._canonicals[1][..., None]))


class _Words:
    """A codebook's codes, the length of each, and tables of what a step of each atom adds to a product."""

    def __init__(self, codec: Codebook, codes: Int16[Tensor, "L N K"]) -> None:
        step = torch.full((len(codec.basis), 1), codec.unit)
        step[-1] = 1  # the mean is in every code once
        self._basis, self._codes = codec.basis * step, codes
        gram = codec.gram * step * step.T
        self.scale = torch.stack([word_scales(level, gram) for level in codes])

    def fill(self, queries: Float[Tensor, "P D"], out: Float[Tensor, "L N P"]) -> Float[Tensor, "L N P"]:
        table = self._basis @ queries.float().T
        for level, words in enumerate(self._codes):
            word_scores(words, self.scale[level], table, out[level])
        return out

    def relevancy(self, queries: Float[Tensor, "Q D"], nearest: Float[Tensor, "L N"]) -> Float[Tensor, "Q L N"]:
        table = self._basis @ queries.float().T
        flat = self._codes.flatten(0, 1), self.scale.flatten(), table, nearest.flatten()
        return word_relevancy(*flat, TEMPERATURE).unflatten(1, self._codes.shape[:2])


class StillView:
    """One camera's view of a field, asked again and again: a new question blends one number a phrase and level.

    Where the blend weights fit into 256 MiB they are kept (`langfield.raster.kept`), else every question is drawn.

    Args:
        field: one with codes of a linear codec.
        camera: where it is seen from.
        similarity: made of the field, where it is at hand.
        most_bytes: how much memory the blend weights may take.
    """

    def __init__(
        self, field: Field, camera: Camera, similarity: Similarity | None = None, most_bytes: int = MOST_BYTES
    ) -> None:
        self._similarity = similarity or Similarity(field)
        with kernels_only():
            self._screen = to_screen(field.language_gaussians.detach(), camera, RasterOptions(colour=False))
            self._kept = keep_weights(self._screen, most_bytes)
        self._general: tuple[Tensor, Tensor, Tensor] | None = None

    @torch.no_grad()
    def maps(self, phrases: Phrases) -> Float[Tensor, "Q L H W"]:
        """Give the relevancy of every pixel, per phrase and level; the canonical phrases are drawn once."""
        with kernels_only():
            if phrases.head is not None:
                return self._formed(phrases.head)
            nearest, gain = self._against(phrases)
            channels = self._similarity.channels(phrases.positives).to(self._screen.splats.means2d)
            if self._kept is not None:
                found = blend_kept_relevancy(self._kept, channels, nearest, gain).unflatten(0, (-1, len(nearest)))
            else:
                found = expected_relevancy(self._draw(channels, len(nearest)), nearest, gain)
            return phrases.join(found)

    def _against(self, phrases: Phrases) -> tuple[Float[Tensor, "L H W"], Float[Tensor, "L H W"]]:
        if self._general is None or not torch.equal(self._general[0], phrases.canonicals):
            channels, levels = self._similarity.general(phrases), self._similarity.levels
            if self._kept is not None:
                found = blend_kept_against(self._kept, channels, levels, (LEAST_SEEN, TEMPERATURE))
            else:
                found = against(self._draw(channels, levels))
            self._general = phrases.canonicals, *found
        return self._general[1:]

    def _formed(self, head: Head) -> Float[Tensor, "C L H W"]:
        covered = self._blend(self._similarity.seen.T.float())  # 1 L H W
        least = covered.clamp_min(LEAST_SEEN)
        margins = head.margins(lambda rows: (self._blend(self._similarity.channels(rows)) / least).movedim(0, -1))
        return formed(head, margins, covered[0] > LEAST_SEEN)

    def _blend(self, channels: Float[Tensor, "N C"]) -> Float[Tensor, "P L H W"]:
        levels, channels = self._similarity.levels, channels.to(self._screen.splats.means2d).contiguous()
        if self._kept is None:
            return self._draw(channels, levels)
        return blend_kept(self._kept, channels).unflatten(0, (-1, levels))

    def _draw(self, channels: Float[Tensor, "N C"], levels: int) -> Float[Tensor, "P L H W"]:
        drawn = splat_channels(self._screen, channels.to(self._screen.splats.means2d))
        return drawn.movedim(-1, 0).contiguous().unflatten(0, (-1, levels))


def against(general: Float[Tensor, "K+1 L H W"]) -> tuple[Float[Tensor, "L H W"], Float[Tensor, "L H W"]]:
    """Give what blended products with phrases are compared with, from blended `Similarity.general`.

    Returns:
        The largest of the blended products with canonical phrases; and temperature by the blend weight of Gaussians
        that have a code, 0, which gives relevancy 0.5, where that is little.
    """
    covered = general[-1]
    gain = torch.where(covered > LEAST_SEEN, TEMPERATURE / covered.clamp_min(LEAST_SEEN), 0.0)
    return general[:-1].amax(dim=0), gain


def expected_relevancy(
    wanted: Float[Tensor, "Q L H W"], nearest: Float[Tensor, "L H W"], gain: Float[Tensor, "L H W"]
) -> Float[Tensor, "Q L H W"]:
    """Give relevancies of the cosines expected along rays: of blended products, and what `against` gave."""
    return (wanted - nearest).mul_(gain).sigmoid_()


def formed(head: Head, margins: Float[Tensor, "*B C"], seen: Bool[Tensor, " *B"]) -> Float[Tensor, " C *B"]:
    """Give relevancies from a head's margins; 0.5 where nothing is seen."""
    return torch.where(seen[..., None], torch.sigmoid(head.scale * margins), NEUTRAL).movedim(-1, 0)


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
    similarity, head = Similarity(field, level), phrases.head
    wanted, many = (phrases.positives, len(phrases.positives)) if head is None else (head.weight, len(head.weight))
    rest = similarity.general(phrases) if head is None else similarity.seen.T.float()
    channels = torch.cat([similarity.channels(wanted), rest], dim=1)
    flat = channels.to(field.gaussians.means).contiguous()
    picture, view = draw_language(field, camera, flat, colour)
    drawn = picture.movedim(-1, 0).contiguous().unflatten(0, (-1, similarity.levels))
    if head is not None:
        expected = drawn[:many] / drawn[many:].clamp_min(LEAST_SEEN)
        return formed(head, head.margins_of(expected.movedim(0, -1)), drawn[many] > LEAST_SEEN), view
    return phrases.join(expected_relevancy(drawn[:many], *against(drawn[many:]))), view


def draw_language(
    field: Field, camera: Camera, channels: Float[Tensor, "N C"], colour: bool
) -> tuple[Float[Tensor, "H W C"], View]:
    """Draw channels with the shape that language has, and give with them the view of the Gaussians themselves."""
    options = RasterOptions(colour=colour)
    view = rasterize(field.language_gaussians, camera, channels=channels, options=options)
    drawn = cast(Tensor, view.channels)
    return drawn, view if field.language is None else rasterize(field.gaussians, camera, options=options)
