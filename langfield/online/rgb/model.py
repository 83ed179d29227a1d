"""What a model that sees depth in one picture is, and how its depth is brought to the map's scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from langfield.errors import FormatError

Kind = Literal["metric", "relative"]
LEAST = 30
"""Pixels whose depth must be known for another depth to be laid on them."""
ROUNDS = 20
CUT = 0.05
"""Relative errors beyond this count ever less (they are of another surface, or the model is wrong there)."""
NEAR, FAR = 0.4, 3.0
"""Where a picture alone gives the order of depths only: the nearest and farthest of them, in typical depths."""
RANGE = (0.05, 10.0)
"""Depths outside this, in typical depths of what they were laid on, are unknown."""


class DepthModel(Protocol):
    """Sees depth in a picture."""

    @property
    def kind(self) -> Kind:
        """What comes out: metres along z, or inverse depth up to a scale and a shift (larger is nearer)."""
        ...

    @property
    def provenance(self) -> dict[str, Any]:
        """Which model, for the field's manifest."""
        ...

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
        """Give what the model sees at every pixel."""
        ...


@dataclass(frozen=True)
class Laid:
    """A model's depth in the map's unit."""

    depth: Float[np.ndarray, "H W"]
    """Along z, world units, float32; 0 where unknown."""
    off: float | None
    """Median relative difference from what it was laid on; None where it was not."""


def open_depth_model(spec: str) -> DepthModel:
    """Make a depth model.

    Args:
        spec: "transformers:FOLDER" or "transformers:NAME[@REVISION]", of a depth estimator; a bare folder will do too.

    Raises:
        FormatError: no such kind of model, or what is there is none.
        EnvironmentProblem: the model is neither here nor can be fetched.
    """
    from langfield.online.rgb.transformers_depth import load

    kind, colon, where = spec.partition(":")
    if colon and kind != "transformers":
        raise FormatError(f"no depth model of kind {kind!r:.40}", spec, "write transformers:FOLDER_OR_NAME")
    return load(where if colon else spec)


def laid_on(raw: Float[np.ndarray, "H W"], kind: Kind, known: Float[np.ndarray, "H W"], typical: float) -> Laid | None:
    """Bring what a model sees to the scale of depth that is known at some pixels.

    Inverse depth gets a scale and a shift, metres get a scale, both by least squares of relative errors that count
    less where they are large. With nothing known, metres stay and an order of depths is spread round the typical one.

    Args:
        raw: as the model gives it.
        kind: what it is.
        known: depth along z, world units, 0 where unknown.
        typical: world units.

    Returns:
        None where the two have nothing to do with each other.
    """
    raw = np.where(np.isfinite(raw), raw, 0).astype(np.float64)
    at = (known > 0) & (raw > 0 if kind == "metric" else np.isfinite(raw))
    if not (known > 0).any():
        return Laid(_clean(raw if kind == "metric" else 1 / _guessed(raw, typical), None), None)
    if at.sum() < LEAST:
        return None
    shape = 1 / np.where(raw > 0, raw, np.inf) if kind == "metric" else raw
    fit = _fitted(shape[at], 1 / known[at].astype(np.float64), shift=kind == "relative")
    if fit is None:
        return None
    q = fit[0] * shape + fit[1]
    depth = _clean(np.where(q > 0, 1 / np.where(q > 0, q, 1), 0), float(np.median(known[at])))
    there = at & (depth > 0)
    return Laid(depth, float(np.median(np.abs(depth[there] / known[there] - 1)))) if there.any() else None


def _fitted(x: Float[np.ndarray, " P"], q: Float[np.ndarray, " P"], shift: bool) -> tuple[float, float] | None:
    """Give scale and shift with q = scale x + shift; None where q does not grow with x."""
    columns = np.stack([x, np.ones_like(x)], 1) if shift else x[:, None]
    design, weight = columns / q[:, None], np.ones(len(q))
    found = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        found = np.linalg.lstsq(design * weight[:, None], weight, rcond=None)[0]
        error = np.abs(design @ found - 1)
        cut = max(CUT, float(np.median(error)))
        weight = 1 / (1 + (error / cut) ** 2)  # Geman-McClure
    return (float(found[0]), float(found[1]) if shift else 0.0) if found[0] > 0 else None


def _guessed(raw: Float[np.ndarray, "H W"], typical: float) -> Float[np.ndarray, "H W"]:
    """Give inverse depth for an order of depths alone: all between NEAR and FAR times the typical depth."""
    low, high = np.quantile(raw, (0.02, 0.98))
    share = np.clip((raw - low) / max(high - low, 1e-12), 0, 1)
    return (1 / FAR + share * (1 / NEAR - 1 / FAR)) / typical


def _clean(depth: Float[np.ndarray, "H W"], typical: float | None) -> Float[np.ndarray, "H W"]:
    """Give depth as float32, 0 where it is no depth."""
    low, high = (0.0, np.inf) if typical is None else (RANGE[0] * typical, RANGE[1] * typical)
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(depth) & (depth > low) & (depth < high), depth, 0).astype(np.float32)
