"""Where the two autoencoders begin: as the straight maps of principal components, which learning then bends.

From random weights two hundred steps on one keyframe reach little more than its mean. A layer with ReLU is straight on
what stays above zero, so a large enough bias before it, taken away after the last layer, lets a few of its neurons
carry any straight map; the others begin random, with no say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langfield.codec.two_stage import WIDTH, Stage

REACH = 4.0
"""Standard deviations of a component that stay above zero."""
LEAST = 1e-3
"""Of the largest deviation: what the smallest counts as."""


@dataclass(frozen=True)
class Measure:
    """A symmetric matrix that vectors are multiplied by before distances are taken, and its inverse."""

    root: Float[Tensor, "I I"]
    back: Float[Tensor, "I I"]


def measure_of(words: Float[Tensor, "V I"], share: float) -> Measure:
    """Give the measure that counts directions as much as words differ in them, for a share, and alike for the rest.

    Args:
        words: vectors of words.
        share: from 0, all directions alike, to below 1.
    """
    left = words.double() - words.double().mean(dim=0)
    cover = left.T @ left
    values, axes = torch.linalg.eigh(cover * (len(cover) / cover.trace().clamp_min(1e-12)))
    roots = (1 - share + share * values.clamp_min(0)).sqrt()
    return Measure(((axes * roots) @ axes.T).float(), ((axes / roots) @ axes.T).float())


def start(stage: Stage, vectors: Float[Tensor, "M I"], measure: Measure | None = None) -> None:
    """Fix what a stage subtracts and divides by, and put its first weights to the vectors' principal components.

    The numbers between encoder and decoder become the components with most variance. Where codes are of unit length
    (`WIDTH` of them) the last number begins constant: else how far a vector lies from the mean would be lost.

    Args:
        stage: with random weights.
        vectors: what it will learn from.
        measure: what variance and distance are measured by; as they are where None.
    """
    measure = measure or Measure(*(torch.eye(vectors.shape[1]),) * 2)
    stage.mean, left = vectors.mean(dim=0), vectors - vectors.mean(dim=0)
    seen = left @ measure.root
    stage.spread = seen.square().sum(dim=1).mean().sqrt().clamp_min(1e-6)[None]
    values, axes = torch.linalg.eigh(seen.T @ seen / len(seen) / stage.spread**2)
    width = _linears(stage.encoder)[-1].out_features
    unit = width == WIDTH
    kept = axes.flip(1)[:, : width - unit].T
    reach = REACH * values.flip(0)[: len(kept)].clamp_min(0).sqrt()
    reach = reach.clamp_min(LEAST * float(reach.max()) + 1e-6)
    into = torch.eye(width)[:, : len(kept)]
    straight(stage.encoder, kept @ measure.root, into, reach)
    straight(stage.decoder, into.T, measure.back @ kept.T * (2**0.5 if unit else 1.0), reach)
    if unit:  # as long as the others together, so that the code's length is about sqrt(2) before it becomes 1
        with torch.no_grad():
            _linears(stage.encoder)[-1].bias[-1] += 1


def straight(
    net: nn.Sequential, first: Float[Tensor, "k I"], last: Float[Tensor, "O k"], reach: Float[Tensor, " k"]
) -> None:
    """Make linear layers with ReLU give `last @ first @ x` wherever `first @ x` is above -`reach`.

    Args:
        net: of at least two linear layers, none of the inner ones narrower than k.
        first: what the first layer's first k neurons ask for.
        last: what the last layer makes of them.
        reach: how far below zero each may go.
    """
    linears = _linears(net)
    k = len(first)
    with torch.no_grad():
        linears[0].weight[:k], linears[0].bias[:k] = first, reach
        for inner in linears[1:-1]:
            inner.weight[:k], inner.bias[:k] = torch.eye(k, inner.in_features), 0
        linears[-1].weight.zero_()
        linears[-1].weight[:, :k] = last
        linears[-1].bias.copy_(-last @ reach)


def _linears(net: nn.Sequential) -> list[nn.Linear]:
    return [part for part in net if isinstance(part, nn.Linear)]
