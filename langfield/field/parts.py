"""The parts of a field file, one row each: a new optional part is a new row.

A field of any sort is the same file with more or fewer parts. A part's sizes are written as letters; the same letter
is the same number in every part.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from langfield.codec.types import Codec
from langfield.errors import FormatError
from langfield.field.deform import Deformation, load_deformation
from langfield.field.instances import Instances, load_instances
from langfield.field.status import StatusNet, load_tracks
from langfield.field.types import LanguageShape
from langfield.raster.types import Gaussians

Version = tuple[int, int]
"""Major and minor: a program reads files of its own major version, and of older ones."""
VERSION: Version = (3, 2)
SIZES: dict[str, Container[int]] = {
    "N": range(1, 2**31), "K": (1, 4, 9, 16), "L": range(1, 9), "M": range(1, 17), "k": range(1, 65), "q": range(1, 65),
}  # fmt: skip
"""What letters may stand for; others for any number. d and D are the widths of the codec, s that of captions' codes."""
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AT_ONCE = 2**22


@dataclass(frozen=True)
class Known:
    """What is known of a file while its parts are checked."""

    codec: Codec | None
    tensors: Mapping[str, Tensor]
    sizes: dict[str, int]
    """Letters that parts before this one have given a number."""
    captions: Codec | None = None
    """The codec of captions."""


Check = Callable[[Tensor, Known], str | None]


@dataclass(frozen=True)
class Part:
    """One tensor of the file; floats must be finite."""

    name: str
    """Of the tensor in the file."""
    at: str
    """Where it belongs in the field: an attribute, or GROUP.PATH; a group is there whole or not at all, but for parts
    that are optional."""
    shape: tuple[int | str, ...]
    dtypes: Mapping[torch.dtype, Version]
    """Number formats, and the first version whose programs know the part in that format."""
    needed: bool = False
    """Every field has it, and no program may go on without knowing it."""
    check: Check = lambda tensor, known: None  # noqa: ARG005
    """Says what is wrong with its numbers, or None."""
    optional: bool = False
    """Its group may be without it."""


def _like_means(tensor: Tensor, known: Known) -> str | None:
    return None if tensor.dtype == known.tensors["means"].dtype else "of another number format than means"


def _codes(tensor: Tensor, known: Known) -> str | None:
    if known.codec is None:
        return "there, but no codec is named"
    words = known.codec.kind == "codebook"
    if words == (tensor.dtype == torch.int16):
        return None
    return f"of {tensor.dtype}, which codes of kind {known.codec.kind} are not"


def _reliability(_: Tensor, known: Known) -> str | None:
    return None if "codes" in known.tensors else "there without codes"


def _instances(parts: dict[str, Tensor], known: Known) -> Instances:
    if known.codec is None:
        raise FormatError("instances are there, but no codec is named", "instances", "run the language stage again")
    return load_instances(parts, known.sizes["N"], known.codec.dim)


def _states(_: Tensor, known: Known) -> str | None:
    return None if known.captions is not None else "there, but no codec of captions is named"


def _on_deformation(_: Tensor, known: Known) -> str | None:
    return None if "deformation.trunk_weight" in known.tensors else "there without a deformation"


def _deformation(parts: dict[str, Tensor], known: Known) -> Deformation:
    return load_deformation(parts, known.sizes["K"])


def _since(version: Version, *dtypes: torch.dtype) -> dict[torch.dtype, Version]:
    return dict.fromkeys(dtypes, version)


def _row(
    name: str,
    shape: tuple[int | str, ...],
    *dtypes: torch.dtype,
    check: Check = lambda tensor, known: None,  # noqa: ARG005
) -> Part:
    """Give the row of a part that has lain in the field under its own name since 3.1."""
    return Part(name, name, shape, _since((3, 1), *dtypes), check=check)


PARTS = (
    Part("means", "gaussians.means", ("N", 3), _since((1, 0), *FLOATS), True, _like_means),
    Part("quats", "gaussians.quats", ("N", 4), _since((1, 0), *FLOATS), True, _like_means),
    Part("log_scales", "gaussians.log_scales", ("N", 3), _since((1, 0), *FLOATS), True, _like_means),
    Part("logit_opacities", "gaussians.logit_opacities", ("N",), _since((1, 0), *FLOATS), True, _like_means),
    Part("sh", "gaussians.sh", ("N", "K", 3), _since((1, 0), *FLOATS), True, _like_means),
    Part("codes", "codes", ("L", "N", "d"), _since((1, 0), *FLOATS) | _since((2, 0), torch.int16), check=_codes),
    Part("reliability", "reliability", ("L", "N"), _since((2, 0), *FLOATS), check=_reliability),
    Part("instances.vectors", "instances.vectors", ("I", "D"), _since((3, 0), torch.float16)),
    Part("instances.views", "instances.views", ("I",), _since((3, 0), torch.int32)),
    Part("instances.reliability", "instances.reliability", ("I",), _since((3, 0), torch.float32)),
    Part("instances.first", "instances.first", ("I+1",), _since((3, 0), torch.int64)),
    Part("instances.rows", "instances.rows", ("P",), _since((3, 0), torch.int32)),
    Part("instances.members", "instances.members", ("S", 3), _since((3, 0), torch.int32)),
    Part("instances.ids", "instances.ids", ("I",), _since((3, 2), torch.int64), optional=True),
    _row("deformation.planes.cells", ("C", "E"), *FLOATS),
    _row("deformation.planes.sides", ("M", 4), torch.int32),
    _row("deformation.planes.box", (2, 3), *FLOATS),
    _row("deformation.planes.span_s", (2,), torch.float64),
    _row("deformation.heads", ("G",), torch.uint8),
    _row("deformation.trunk_weight", ("H", "F"), *FLOATS),
    _row("deformation.trunk_bias", ("H",), *FLOATS),
    _row("deformation.inner_weight", ("G", "H", "H"), *FLOATS),
    _row("deformation.inner_bias", ("G", "H"), *FLOATS),
    _row("deformation.outer_weight", ("R", "H"), *FLOATS),
    _row("deformation.outer_bias", ("R",), *FLOATS),
    _row("status_tracks.owner", ("N",), torch.int32, check=_states),
    _row("status_tracks.prototypes", ("O", "k", "s"), *FLOATS),
    _row("status_tracks.times_s", ("T",), torch.float64),
    _row("status_tracks.shares", ("O", "T", "k"), *FLOATS),
    _row("status_net.prototypes", ("N", "q", "s"), *FLOATS, check=_states),
    _row("status_net.inner_weight", ("H", "H"), *FLOATS, check=_on_deformation),
    _row("status_net.inner_bias", ("H",), *FLOATS),
    _row("status_net.outer_weight", ("q", "H"), *FLOATS),
    _row("status_net.outer_bias", ("q",), *FLOATS),
    Part("language.quats", "language.quats", ("N", 4), _since((3, 1), *FLOATS), check=_like_means),
    Part("language.log_scales", "language.log_scales", ("N", 3), _since((3, 1), *FLOATS), check=_like_means),
    Part("language.logit_opacities", "language.logit_opacities", ("N",), _since((3, 1), *FLOATS), check=_like_means),
)
"""In the order they are checked in."""
GROUPS: dict[str, Callable[[dict[str, Tensor], Known], Any]] = {
    "gaussians": lambda parts, _: Gaussians(**parts),
    "instances": _instances,
    "deformation": _deformation,
    "status_tracks": lambda parts, _: load_tracks(parts),
    "status_net": lambda parts, _: StatusNet(**parts),
    "language": lambda parts, _: LanguageShape(**parts),
}
"""How the parts of a group, by path, become what the field holds."""


def take_apart(field: Any) -> tuple[dict[str, Tensor], Version]:
    """Give the tensors of a field by name, and the lowest version that knows them all."""
    tensors: dict[str, Tensor] = {}
    version: Version = (1, 0)
    for part in PARTS:
        found = field
        for step in part.at.split("."):
            found = getattr(found, step, None)
        if found is not None:
            tensors[part.name] = found
            version = max(version, part.dtypes.get(found.dtype, VERSION))
    return tensors, version


def put_together(tensors: Mapping[str, Tensor], codec: Codec | None, captions: Codec | None = None) -> dict[str, Any]:
    """Check all known parts and give the field's attributes.

    Args:
        tensors: by name.
        codec: of the codes.
        captions: codec of the codes of states.

    Raises:
        FormatError: a part is missing, of another shape or number format, not finite, or fails its own check.
    """
    sizes = {} if codec is None else {"d": codec.width, "D": codec.dim}
    known = Known(codec, tensors, sizes | ({} if captions is None else {"s": captions.width}), captions)
    built: dict[str, Any] = {}
    groups: dict[str, dict[str, Tensor]] = {}
    for part in PARTS:
        group, name = _place(part)
        if part.name not in tensors:
            begun = any(other.name in tensors for other in PARTS if group and _place(other)[0] == group)
            if part.needed or (begun and not part.optional):
                raise FormatError("field has missing or unknown tensors", part.name, "write it again")
            continue
        _check(part, tensors[part.name], known)
        (groups.setdefault(group, {}) if group else built)[name] = tensors[part.name]
    return built | {group: GROUPS[group](parts, known) for group, parts in groups.items()}


def _place(part: Part) -> tuple[str, str]:
    """Give the group, empty where there is none, and the rest of the path."""
    group, dot, rest = part.at.partition(".")
    return (group, rest) if dot else ("", group)


def _check(part: Part, tensor: Tensor, known: Known) -> None:
    found = f"{part.name}: {tuple(tensor.shape)}, {tensor.dtype}"
    shape = tuple(known.sizes.get(side, side) if isinstance(side, str) else side for side in part.shape)
    if not _fits(tensor, shape, known.sizes) or tensor.dtype not in part.dtypes:
        kinds = " or ".join(str(dtype).removeprefix("torch.") for dtype in part.dtypes)
        raise FormatError(f"{part.name} is not of shape ({', '.join(map(str, shape))}) and {kinds}", found)
    if tensor.is_floating_point() and not all(bool(t.isfinite().all()) for t in tensor.flatten().split(AT_ONCE)):
        raise FormatError(f"{part.name} holds values that are not finite", found, "make the field again")
    wrong = part.check(tensor, known)
    if wrong is not None:
        raise FormatError(f"{part.name} is {wrong}", found, "run the language stage again")


def _fits(tensor: Tensor, shape: tuple[int | str, ...], sizes: dict[str, int]) -> bool:
    """Tell whether a tensor has a shape; letters without a number take the tensor's."""
    if tensor.ndim != len(shape):
        return False
    for side, found in zip(shape, tensor.shape, strict=True):
        if isinstance(side, str):
            if found not in SIZES.get(side, range(2**62)) or sizes.setdefault(side, found) != found:
                return False
        elif side != found:
            return False
    return True
