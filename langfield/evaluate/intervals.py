"""How far a mean can be trusted: Wilson's interval of a share, and bootstraps that draw whole groups."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

Interval = tuple[float, float]
RESAMPLES = 10_000
Z95 = 1.959963984540054


def wilson_interval(hits: int, n: int) -> Interval:
    """Give Wilson's 95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(values: Float[np.ndarray, " Q"], groups: Sequence[object], seed: int = 0) -> Interval:
    """Give the 95 % percentile interval of the mean, drawing whole groups with replacement.

    Args:
        values: one per query.
        groups: group of each query; all different for a bootstrap over queries, the phrases for one over names.
        seed: of the 10,000 draws.
    """
    _, of = np.unique(np.array([str(g) for g in groups]), return_inverse=True)
    sums, counts = np.bincount(of, values), np.bincount(of)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    return float(low), float(high)
