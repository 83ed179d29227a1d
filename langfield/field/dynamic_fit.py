"""Learning how Gaussians move: the motion of planes and heads that the photometric fit takes along.

Coarse to fine as in 4DGS (2310.08528, Section 4.4): a first part of the steps fits a scene that stands still to the
pictures of all times, then the deformation starts from nothing. Loss and densification are the photometric fit's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import HEADS, LAYERS, Deformation, deform, start_deformation
from langfield.field.hexplane import PlaneSettings, roughness, start_planes
from langfield.field.photometric import MOMENTS, step_seed
from langfield.raster.types import Gaussians

CELLS = "planes.cells"


@dataclass(frozen=True)
class MotionSettings:
    """How motion is learnt; the defaults suit some tens of photos at 320x240 on two cores."""

    planes: PlaneSettings = field(default_factory=PlaneSettings)
    hidden: int = 32
    """Width of the shared layer and of the heads (4D LangSplat: 128)."""
    heads: tuple[str, ...] = HEADS
    """What may change; without `logit_opacities` and `sh` nothing appears, vanishes or changes colour."""
    static_share: float = 0.15
    """Part of the steps in which nothing moves yet."""
    lr_planes: float = 2e-2
    """Adam's learning rate of the planes."""
    lr_heads: float = 5e-3
    """Of the layers."""
    lr_end: float = 0.1
    """Factor of both at the last step (exponential decay)."""
    smooth_space: float = 1e-4
    """Weight of the total variation of space planes."""
    smooth_time: float = 1e-3
    """Weight of the acceleration in time planes."""
    still: float = 1e-4
    """Weight of the distance of time planes from one."""
    seed: int = 0


class MotionFit:
    """A deformation under optimisation; the photometric fit calls `at` and `descend` once a step.

    Args:
        xyz: start points, which the planes' box is made to hold, world units.
        cameras: of all views, each with a time.
        harmonics: K of the Gaussians.
        steps: of the whole fit, the static part included.
        settings: how.
        device: where to fit.

    Raises:
        SettingsError: a setting lies outside its range, or there are not two times.
    """

    def __init__(
        self, xyz: Float[Tensor, "P 3"], cameras: Sequence[Camera], harmonics: int, steps: int,
        settings: MotionSettings, device: torch.device | None = None,
    ) -> None:  # fmt: skip
        _check(settings)
        self.settings, self.steps = settings, steps
        generator = torch.Generator().manual_seed(step_seed(settings.seed, 0, "planes"))
        planes = start_planes(settings.planes, xyz.float().cpu(), span_of(cameras), generator)
        start = start_deformation(planes, settings.heads, settings.hidden, harmonics, generator)
        tensors = {CELLS: planes.cells, **{name: getattr(start, name) for name in LAYERS}}
        self._params = {name: torch.nn.Parameter(t.to(device)) for name, t in tensors.items()}
        self._fixed = replace(start, planes=replace(planes, box=planes.box.to(device)))
        rates = (settings.lr_planes, *(settings.lr_heads for _ in LAYERS))
        groups = [{"params": [p], "lr": lr} for p, lr in zip(self._params.values(), rates, strict=True)]
        self._adam = torch.optim.Adam(groups, eps=1e-15, fused=True)
        self._rates = rates

    @property
    def deformation(self) -> Deformation:
        """The deformation as it is now, cut from the graph."""
        return self._deformation({name: p.detach() for name, p in self._params.items()})

    def _deformation(self, tensors: Mapping[str, Tensor]) -> Deformation:
        planes = replace(self._fixed.planes, cells=tensors[CELLS])
        return replace(self._fixed, planes=planes, **{name: tensors[name] for name in LAYERS})

    def moves(self, step: int) -> bool:
        """Tell whether a step lies behind the static part."""
        return step >= self.settings.static_share * self.steps

    def at(self, gaussians: Gaussians, time_s: float | None, step: int) -> tuple[Gaussians, Tensor]:
        """Give the Gaussians of a time and what their motion adds to the loss.

        Raises:
            FormatError: the picture has no time.
        """
        if time_s is None:
            raise FormatError("a picture of a scene that moves has no time", f"step {step}", "give every frame a time")
        if not self.moves(step):
            return gaussians, gaussians.means.new_zeros(())
        deformation, s = self._deformation(self._params), self.settings
        rough = roughness(deformation.planes)
        penalty = s.smooth_space * rough.space + s.smooth_time * rough.time + s.still * rough.motion
        return deform(gaussians, deformation, time_s), penalty

    def descend(self, step: int) -> None:
        """Take the optimizer's step after gradients have been gathered."""
        if not self.moves(step):
            return
        factor = self.settings.lr_end ** min(step / max(self.steps, 1), 1.0)
        for group, rate in zip(self._adam.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Give all that decides how the fit goes on, as copies."""
        out = {}
        for name, parameter in self._params.items():
            out[f"motion.{name}"] = parameter.detach().clone()
            moments = self._adam.state.get(parameter, {})
            out |= {f"motion.adam.{name}.{key}": moments[key].clone() for key in MOMENTS if key in moments}
        return out

    def load_state(self, state: Mapping[str, Tensor | int]) -> None:
        """Go on from what `state` gave.

        Raises:
            FormatError: something is missing from it or has the wrong shape.
        """
        self._adam.state.clear()
        for name, parameter in self._params.items():
            value = state.get(f"motion.{name}")
            if not isinstance(value, Tensor) or value.shape != parameter.shape:
                raise FormatError("a saved motion does not fit these settings", name, "start the run afresh")
            parameter.data = value.to(parameter, copy=True)
            moments = {key: state.get(f"motion.adam.{name}.{key}") for key in MOMENTS}
            if isinstance(moments["exp_avg"], Tensor):
                self._adam.state[parameter] = {
                    key: torch.as_tensor(value).to(parameter, copy=True) for key, value in moments.items()
                }


def span_of(cameras: Sequence[Camera]) -> tuple[float, float]:
    """Give the first and last time of views, seconds.

    Raises:
        SettingsError: a view has no time, or all have the same.
    """
    times = [camera.time_s for camera in cameras]
    known = [time for time in times if time is not None]
    if len(known) < len(times) or len(set(known)) < 2:
        raise SettingsError(
            f"{len(times) - len(known)} of {len(times)} pictures have no time, the others {len(set(known))} times",
            remedy="motion needs a time for every frame and two times at least",
        )
    return min(known), max(known)


def _check(s: MotionSettings) -> None:
    numbers = [HEADS.index(name) for name in s.heads if name in HEADS]
    if len(numbers) < len(s.heads) or not numbers or numbers != sorted(set(numbers)):
        raise SettingsError(f"heads of a motion are some of {', '.join(HEADS)}, in this order", ", ".join(s.heads))
    least = min(s.lr_planes, s.lr_heads, s.smooth_space, s.smooth_time, s.still)
    if s.hidden < 1 or not 0 <= s.static_share < 1 or not 0 < s.lr_end <= 1 or least < 0:
        raise SettingsError("a motion needs hidden >= 1, static_share below 1, lr_end up to 1, no negative weight", s)
