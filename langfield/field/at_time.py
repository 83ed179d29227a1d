"""A field that moves as it is at one time: a field that stands still, which everything else can draw and ask."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import QueryError, SettingsError
from langfield.field.deform import deform
from langfield.field.status import Status, status_at
from langfield.field.types import Field, LanguageShape

TIMELESS = {"deformation": None, "caption_codec": None, "status_tracks": None, "status_net": None}


@torch.no_grad()
def at_time(field: Field, time_s: float | None) -> Field:
    """Give a field as it is at a time, row by row the same Gaussians; its codes and things do not change.

    Args:
        field: of any kind; one that stands still is given back.
        time_s: seconds; None gives the first time, times outside the span the nearest.
    """
    if field.deformation is None and status_of(field) is None:
        return field
    moved = deform(field.gaussians, field.deformation, time_s)
    return replace(field, gaussians=moved, language=_language(field, time_s), **TIMELESS)


def check_time(field: Field, time_s: float) -> None:
    """Check that a field knows a time, where somebody asks for just that one.

    Raises:
        SettingsError: the scene stands still, or the time lies outside of its span.
    """
    if field.deformation is None and status_of(field) is None:
        raise SettingsError("the scene stands still", f"--time {time_s:g}", "leave it out")
    first, last = span_s(field)
    if not first <= time_s <= last:
        raise SettingsError(
            "the scene has no such time", f"--time {time_s:g}", f"give one from {first:g} to {last:g} seconds"
        )


def _language(field: Field, time_s: float | None) -> LanguageShape | None:
    """Give language's own shape at a time: turned, scaled and faded as the Gaussians are."""
    if field.language is None:
        return None
    own = deform(field.language_gaussians, field.deformation, time_s)
    return LanguageShape(own.quats, own.log_scales, own.logit_opacities)


@torch.no_grad()
def states_at(field: Field, time_s: float, kind: str = "") -> Field:
    """Give a field at a time whose codes, one level, are those of states: to be asked as others, in caption space.

    Args:
        field: one with states.
        time_s: seconds.
        kind: tracks or net; empty takes what there is, tracks first.

    Raises:
        QueryError: the field has no states of this kind.
    """
    codes = status_codes(field, time_s, kind)[None]
    return replace(at_time(field, time_s), codes=codes, codec=field.caption_codec, reliability=None, instances=None)


def status_codes(field: Field, time_s: float, kind: str = "") -> Float[Tensor, "N s"]:
    """Give the caption code of every Gaussian at a time, of unit length; zero where it has no state.

    Raises:
        QueryError: the field has no states of this kind.
    """
    status = status_of(field, kind)
    if status is None:
        raise QueryError(f"the field has no states {kind}".rstrip(), remedy="train it with captions")
    return status_at(status, field.deformation, field.gaussians.means, time_s)


def status_of(field: Field, kind: str = "") -> Status | None:
    """Give the states of a field: of a kind, tracks or net, or whichever there is, tracks first."""
    known = {"tracks": field.status_tracks, "net": field.status_net}
    return known[kind] if kind else known["tracks"] or known["net"]


def span_s(field: Field) -> tuple[float, float]:
    """Give the first and last time a field knows, seconds; both 0 where it stands still."""
    if field.deformation is not None:
        first, last = field.deformation.planes.span_s.tolist()
        return first, last
    if field.status_tracks is not None:
        times = field.status_tracks.times_s
        return float(times[0]), float(times[-1])
    return 0.0, 0.0
