"""A picture becomes segments at three levels: subpart, part, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from langfield import weights
from langfield.artefacts import file_key, plain
from langfield.errors import FormatError, SettingsError
from langfield.segment.assemble import mask_of
from langfield.segment.store import load_segments, save_segments
from langfield.segment.types import LEVELS, Segmenter, Segments, SegmentSettings

VERSION = 1  # of the masks made: raised whenever the same settings would give other masks

__all__ = [
    "LEVELS",
    "SEGMENTERS",
    "SegmentSettings",
    "Segmenter",
    "Segments",
    "load_segments",
    "mask_of",
    "save_segments",
    "segmenter",
    "segmenter_identity",
]


def _mobile_sam(rest: str, settings: SegmentSettings) -> Segmenter:
    from langfield.segment.sam import SamSegmenter

    _no_rest("mobile-sam", rest)
    return SamSegmenter(weights.require("mobile-sam"), "vit_t", settings, "mobile-sam")


def _quick(rest: str, settings: SegmentSettings) -> Segmenter:
    from langfield.segment.quick_sam import QuickSam, side_of

    return QuickSam(weights.require("mobile-sam"), settings, side_of(rest))


def _sam(rest: str, settings: SegmentSettings) -> Segmenter:
    from langfield.segment.sam import SamSegmenter

    kind, checkpoint = _kind_and_path(rest)
    return SamSegmenter(checkpoint, kind, settings)


def _components(rest: str, settings: SegmentSettings) -> Segmenter:
    from langfield.segment.components import ComponentsSegmenter

    _no_rest("components", rest)
    return ComponentsSegmenter(settings)


SEGMENTERS: dict[str, Callable[[str, SegmentSettings], Segmenter]] = {
    "mobile-sam": _mobile_sam,
    "mobile-sam-quick": _quick,
    "sam": _sam,
    "components": _components,
}


def segmenter(spec: str, settings: SegmentSettings | None = None) -> Segmenter:
    """Make a segmenter by name.

    Args:
        spec: "mobile-sam", "mobile-sam-quick" or "mobile-sam-quick:SIDE" (of the encoder's square, pixels),
            "sam:KIND:PATH" with KIND vit_b, vit_l, vit_h or vit_t and the path of a checkpoint, or "components" (no
            weights).
        settings: how masks are made; the defaults where None.

    Raises:
        SettingsError: no such segmenter.
        EnvironmentProblem: its weights are not on this machine.
        FormatError: its checkpoint is damaged or of another kind.
    """
    name, _, rest = spec.partition(":")
    _check_name(name)
    return SEGMENTERS[name](rest, settings or SegmentSettings())


def segmenter_identity(spec: str, settings: SegmentSettings | None = None) -> dict[str, Any]:
    """Say what decides the masks a segmenter makes, for content keys, without loading its model.

    Raises:
        SettingsError: no such segmenter.
        FormatError: its checkpoint does not exist.
    """
    name, _, rest = spec.partition(":")
    _check_name(name)
    identity = {"segmenter": name, "version": VERSION, "settings": plain(settings or SegmentSettings())}
    if name == "mobile-sam":
        return identity | {"weights": weights.row("mobile-sam").files[0].sha256}
    if name == "mobile-sam-quick":
        from langfield.segment.quick_sam import quick_identity, side_of

        return identity | {"weights": weights.row("mobile-sam").files[0].sha256, **quick_identity(side_of(rest))}
    if name == "sam":
        kind, checkpoint = _kind_and_path(rest)
        return identity | {"kind": kind, "weights": file_key(checkpoint)}
    return identity


def _check_name(name: str) -> None:
    if name not in SEGMENTERS:
        raise SettingsError(f"there is no segmenter {name!r}", None, f"choose one of {', '.join(SEGMENTERS)}")


def _no_rest(name: str, rest: str) -> None:
    if rest:
        raise SettingsError(f"the segmenter {name} takes nothing after its name", f"{name}:{rest}")


def _kind_and_path(rest: str) -> tuple[str, Path]:
    kind, _, path = rest.partition(":")
    if not kind or not path:
        raise SettingsError("sam needs a kind and a checkpoint", None, "write sam:vit_h:PATH_OF_CHECKPOINT")
    checkpoint = Path(path).expanduser()
    if not checkpoint.is_file():
        raise FormatError("SAM checkpoint not found", checkpoint, "download it from the segment-anything project")
    return kind, checkpoint
