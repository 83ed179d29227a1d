"""Gaussians that move: a canonical set, and what planes of space and time say about how each differs at a time.

As in 4D Gaussian Splatting (Wu et al. 2310.08528, Section 4.2), which 4D LangSplat (2503.10437) stands on: the features
of the canonical centre at a time pass one shared layer, and a small head per attribute adds a difference. A field that
stands still is one without a deformation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import linear, relu

from langfield.errors import FormatError
from langfield.field.hexplane import HexPlane, check_planes, features
from langfield.raster.types import Gaussians

HEADS = ("means", "quats", "log_scales", "logit_opacities", "sh")
"""Attributes of Gaussians that may change, by the number the file knows them by."""
LAYERS = ("trunk_weight", "trunk_bias", "inner_weight", "inner_bias", "outer_weight", "outer_bias")


@dataclass(frozen=True)
class Deformation:
    """How Gaussians differ from the canonical ones at a time: planes, a shared layer, and G heads of two layers."""

    planes: HexPlane
    heads: UInt8[Tensor, " G"]
    """Rising numbers into `HEADS`."""
    trunk_weight: Float[Tensor, "H F"]
    trunk_bias: Float[Tensor, " H"]
    inner_weight: Float[Tensor, "G H H"]
    inner_bias: Float[Tensor, "G H"]
    outer_weight: Float[Tensor, "O H"]
    """Rows of all heads one after the other; those of `sh` colour by colour within a harmonic."""
    outer_bias: Float[Tensor, " O"]

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes that change."""
        return tuple(HEADS[number] for number in self.heads.tolist())

    def tensors(self) -> dict[str, Tensor]:
        """Give all tensors by attribute, those of the planes as `planes.NAME`, as `load_deformation` takes them."""
        own = {name: tensor for name, tensor in vars(self).items() if isinstance(tensor, Tensor)}
        return own | {f"planes.{name}": tensor for name, tensor in vars(self.planes).items()}

    def to(self, device: torch.device | str) -> Deformation:
        """Give the same deformation on a device; its span stays on the CPU, where it is only asked as numbers."""
        planes = replace(self.planes, cells=self.planes.cells.to(device), box=self.planes.box.to(device))
        return replace(self, planes=planes, **{name: getattr(self, name).to(device) for name in LAYERS})

    @property
    def unit(self) -> Float[Tensor, ""]:
        """World units that a difference of 1 in the centres stands for: half the longest side of the planes' box."""
        return self.planes.box.diff(dim=0).max() / 2


def head_widths(names: tuple[str, ...], harmonics: int) -> list[int]:
    """Give how many numbers each head gives."""
    widths = {"means": 3, "quats": 4, "log_scales": 3, "logit_opacities": 1, "sh": 3 * harmonics}
    return [widths[name] for name in names]


def start_deformation(
    planes: HexPlane, names: tuple[str, ...], hidden: int, harmonics: int, generator: torch.Generator
) -> Deformation:
    """Give a deformation that changes nothing yet.

    Args:
        planes: of F features.
        names: attributes that may change, in the order of `HEADS`.
        hidden: width H of all layers.
        harmonics: K of the Gaussians.
        generator: of the random numbers.
    """

    def layer(*shape: int) -> Tensor:  # Glorot & Bengio 2010, uniform, as 4DGS does
        bound = (6 / (shape[-1] + shape[-2])) ** 0.5
        return (torch.rand(shape, generator=generator) * 2 - 1) * bound

    heads, out = len(names), sum(head_widths(names, harmonics))
    return Deformation(
        planes,
        torch.tensor([HEADS.index(name) for name in names], dtype=torch.uint8),
        layer(hidden, planes.width),
        torch.zeros(hidden),
        layer(heads, hidden, hidden),
        torch.zeros(heads, hidden),
        torch.zeros(out, hidden),
        torch.zeros(out),
    )


def hidden_state(deformation: Deformation, means: Float[Tensor, "N 3"], time_s: float) -> Float[Tensor, "N H"]:
    """Give what the shared layer knows of canonical centres at a time, before its rectifier."""
    found = features(deformation.planes, means, time_s)
    return linear(found, deformation.trunk_weight, deformation.trunk_bias)


def deform(gaussians: Gaussians, deformation: Deformation | None, time_s: float | None) -> Gaussians:
    """Give Gaussians as they are at a time; row by row the same ones.

    Args:
        gaussians: the canonical ones.
        deformation: None where nothing moves.
        time_s: seconds; outside the deformation's span the nearest time counts, None stands for its first.
    """
    if deformation is None:
        return gaussians
    at = float(deformation.planes.span_s[0]) if time_s is None else time_s
    changes = differences(deformation, hidden_state(deformation, gaussians.means, at), gaussians.sh.shape[1])
    moved = {name: getattr(gaussians, name) + change.to(gaussians.means) for name, change in changes.items()}
    return replace(gaussians, **moved)


def differences(deformation: Deformation, hidden: Float[Tensor, "N H"], harmonics: int) -> dict[str, Tensor]:
    """Give what each head adds, in the shape of its attribute.

    Args:
        deformation: whose heads.
        hidden: from `hidden_state`.
        harmonics: K of the Gaussians; may be fewer than the head of `sh` knows.
    """
    names, d = deformation.names, deformation
    inner = relu(linear(relu(hidden), d.inner_weight.flatten(0, 1), d.inner_bias.flatten())).chunk(len(names), dim=1)
    known = (len(d.outer_bias) - sum(head_widths(tuple(n for n in names if n != "sh"), 0))) // 3
    rows = head_widths(names, known)
    found = {
        name: linear(entering, weight, bias)
        for name, entering, weight, bias in zip(
            names, inner, d.outer_weight.split(rows), d.outer_bias.split(rows), strict=True
        )
    }
    shapes = {
        "means": lambda t: t * d.unit.to(t),
        "logit_opacities": lambda t: t[:, 0],
        "sh": lambda t: t.unflatten(1, (-1, 3))[:, :harmonics],
    }
    return {name: shapes.get(name, lambda t: t)(change) for name, change in found.items()}


def load_deformation(tensors: dict[str, Tensor], harmonics: int) -> Deformation:
    """Make a deformation from the parts of a file, distrusting them; shapes have been held against each other.

    Args:
        tensors: by attribute; those of the planes as `planes.NAME`.
        harmonics: K of the field's Gaussians.

    Raises:
        FormatError: heads are unknown or do not give what their attributes take, or planes are inconsistent.
    """
    planes = HexPlane(**{n.removeprefix("planes."): t for n, t in tensors.items() if n.startswith("planes.")})
    check_planes(planes)
    made = Deformation(planes, **{n: t for n, t in tensors.items() if not n.startswith("planes.")})
    numbers = made.heads.tolist()
    if not numbers or numbers != sorted(set(numbers)) or numbers[-1] >= len(HEADS):
        raise FormatError("heads of a deformation are unknown or out of order", str(numbers[:8]))
    if sum(head_widths(made.names, harmonics)) != len(made.outer_bias) or planes.width != made.trunk_weight.shape[1]:
        found = f"heads {', '.join(made.names)} of {len(made.outer_bias)} rows, {planes.width} features"
        raise FormatError("heads of a deformation do not give what their attributes take", found)
    return made
