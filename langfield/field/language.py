"""The language stage: codes of three levels fitted to segment codes by rasterizing them, geometry frozen.

As in LangSplat (arXiv 2312.16084, Section 3.3): only the codes move, they are scaled to unit length per Gaussian before
they are blended, and the loss is L1 on pixels that have a mask. Two things are ours. All levels are drawn in one pass.
And the first steps gather instead of descending: blending is linear, so the gradient of <drawn codes, targets> is each
Gaussian's sum of blend weight times target, and its direction is a start that Adam needs few steps to refine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int16
from torch import Tensor
from torch.nn.functional import interpolate

from langfield.capture.types import Camera
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import Deformation, deform
from langfield.raster.types import Gaussians, RasterOptions

ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class LanguageSettings:
    """How the codes are found."""

    mode: Literal["fit", "lift"] = "lift"
    """lift: in closed form, in one pass over the views; fit: trained as LangSplat does; the rest is for fit."""
    steps: int = 300
    """Steps in all, one view each; the learning rate falls to a tenth over them."""
    gather_steps: int = 60
    """How many of the first steps gather; once or twice the number of views is enough, 0 starts from nothing."""
    lr: float = 0.02
    """Adam's learning rate for codes of unit length (LangSplat: 0.0025 from zero, with the same end)."""


def unit_codes(codes: Float[Tensor, "L N d"]) -> Float[Tensor, "L N d"]:
    """Scale codes to unit length; zero codes stay zero and pass gradients on unscaled.

    LangSplat divides by (length + 1e-9), whose gradient at its zero start is 1e9 times too long and stalls Adam.
    """
    squares = codes.square().sum(dim=-1, keepdim=True)
    empty = squares == 0
    return torch.where(empty, codes, codes / squares.masked_fill(empty, 1.0).sqrt())


def latent_targets(
    ids: Int16[Tensor, "L H W"], codes_of_rows: Float[Tensor, "M d"], size: tuple[int, int] | None = None
) -> tuple[Float[Tensor, "h w L d"], Bool[Tensor, "h w L"]]:
    """Paint segment codes into a frame.

    Args:
        ids: row into `codes_of_rows` per level and pixel, -1 where there is no mask.
        codes_of_rows: code per segment of this frame.
        size: height and width to draw at, in pixels; the id maps are sampled at the nearest pixel. None keeps theirs.

    Raises:
        FormatError: an id is not a row of the table.
    """
    if ids.numel() and (int(ids.min()) < -1 or int(ids.max()) >= len(codes_of_rows)):
        raise FormatError(
            f"segment ids run from {int(ids.min())} to {int(ids.max())}, the table has {len(codes_of_rows)} rows",
            remedy="run the segment stage again",
        )
    if size is not None and tuple(ids.shape[1:]) != tuple(size):
        ids = interpolate(ids[None].float(), size=size, mode="nearest-exact")[0].to(torch.int16)
    rows = ids.permute(1, 2, 0).long()  # h w L
    valid = rows >= 0
    if len(codes_of_rows) == 0:
        return codes_of_rows.new_zeros(*rows.shape, codes_of_rows.shape[1]), valid
    return codes_of_rows[rows.clamp_min(0)] * valid[..., None], valid


class LanguageFit:
    """Codes [L, N, d] under optimisation; the caller chooses the view of each step."""

    def __init__(
        self, gaussians: Gaussians, n_levels: int, width: int, settings: LanguageSettings,
        deformation: Deformation | None = None,
    ) -> None:  # fmt: skip
        if settings.steps < 1 or settings.lr <= 0 or settings.gather_steps < 0:
            raise SettingsError("language stage needs steps >= 1, lr > 0 and gather_steps >= 0", settings)
        self.gaussians, self.deformation = gaussians.detach(), deformation
        self.settings = settings
        start = gaussians.means.detach().new_zeros(n_levels, len(gaussians), width)
        self._codes = start.requires_grad_()
        self._adam = torch.optim.Adam([self._codes], lr=settings.lr, eps=1e-15)

    @property
    def codes(self) -> Float[Tensor, "L N d"]:
        """Codes so far, of unit length; zero where no view has shown a Gaussian."""
        return unit_codes(self._codes.detach())

    def step(
        self, step: int, camera: Camera, targets: Float[Tensor, "H W L d"], valid: Bool[Tensor, "H W L"]
    ) -> dict[str, float]:
        """Draw one view and take one step.

        Args:
            step: number of the step, from 0; decides between gathering and descending and sets the learning rate.
            camera: the view, already at the targets' size.
            targets: segment codes painted into the view.
            valid: where there is a mask.

        Returns:
            `loss` (L1 per channel) and `cosine`, means over valid pixels before the step.
        """
        targets, valid = targets.to(self._codes), valid.to(self._codes.device)
        gathering = step < self.settings.gather_steps
        if not gathering and not self._adam.state:
            self._codes.data = self.codes
        channels = unit_codes(self._codes)
        drawn = self._draw(channels, camera)
        count = valid.sum().clamp_min(1)
        if gathering:
            (gathered,) = torch.autograd.grad((drawn * targets * valid[..., None]).sum(), channels)
            self._codes.data += gathered
        else:
            loss = ((drawn - targets).abs().mean(dim=-1) * valid).sum() / count
            (self._codes.grad,) = torch.autograd.grad(loss, self._codes)
            self._adam.param_groups[0]["lr"] = self._learning_rate(step)
            self._adam.step()
        return _report(drawn.detach(), targets, valid)

    def _draw(self, channels: Float[Tensor, "L N d"], camera: Camera) -> Float[Tensor, "H W L d"]:
        from langfield.raster import rasterize

        flat = channels.movedim(0, 1).flatten(1)  # N L*d
        with torch.no_grad():
            then = deform(self.gaussians, self.deformation, camera.time_s)
        view = rasterize(then, camera, channels=flat, options=RasterOptions(colour=False))
        return cast(Tensor, view.channels).unflatten(-1, (channels.shape[0], channels.shape[2]))

    def _learning_rate(self, step: int) -> float:
        progress = min(step / self.settings.steps, 1.0)
        return self.settings.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))

    def state(self) -> dict[str, Tensor]:
        """Give all that a later process needs to go on exactly where this one is."""
        empty = {"step": torch.tensor(0.0), "exp_avg": torch.zeros_like(self._codes)}
        adam = self._adam.state.get(self._codes) or {**empty, "exp_avg_sq": empty["exp_avg"]}
        return {"codes": self._codes.detach().clone(), **{f"adam.{name}": adam[name].clone() for name in ADAM}}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state()` of an equally shaped fit.

        Raises:
            FormatError: a tensor is missing or of another shape.
        """
        shapes = {"codes": self._codes.shape, "adam.step": torch.Size([]), "adam.exp_avg": self._codes.shape}
        for name, shape in {**shapes, "adam.exp_avg_sq": self._codes.shape}.items():
            if name not in state or state[name].shape != shape:
                found = tuple(state[name].shape) if name in state else "missing"
                raise FormatError(
                    f"saved language state does not fit shape {tuple(shape)}",
                    f"tensor {name}: {found}",
                    "start the language stage afresh",
                )
        self._codes.data = state["codes"].to(self._codes).clone()
        self._adam.state.clear()
        if float(state["adam.step"]) > 0:
            moments = {f: state[f"adam.{f}"].to(self._codes, copy=True) for f in ADAM[1:]}
            self._adam.state[self._codes] = {"step": state["adam.step"].cpu().clone(), **moments}


def _report(drawn: Tensor, targets: Tensor, valid: Tensor) -> dict[str, float]:
    count = valid.sum().clamp_min(1)
    difference = ((drawn - targets).abs().mean(dim=-1) * valid).sum() / count
    cosine = (torch.cosine_similarity(drawn, targets, dim=-1) * valid).sum() / count
    return {"loss": float(difference), "cosine": float(cosine)}
