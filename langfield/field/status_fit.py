"""Learning the status network of 4D LangSplat: geometry and deformation frozen, prototypes and mixing learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.errors import FormatError, SettingsError
from langfield.field.deform import Deformation, deform, hidden_state
from langfield.field.photometric import step_seed
from langfield.field.status import StatusNet, mix, net_shares
from langfield.raster import rasterize
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians, RasterOptions


@dataclass(frozen=True)
class StatusSettings:
    """How the status network is learnt."""

    states: int = 3
    """K (4D LangSplat: 3)."""
    steps: int = 400
    lr_prototypes: float = 5e-3
    """Adam's, of the prototypes (4D LangSplat: 0.0025)."""
    lr_net: float = 5e-3
    """Adam's, of the mixing network."""
    cosine_weight: float = 1.0
    """Weight of 1 - cosine beside the mean absolute difference."""
    seed: int = 0


def prototypes_of(
    codes: Float[Tensor, "T N s"], seen: Bool[Tensor, "T N"], states: int, turns: int = 10
) -> Float[Tensor, "N K s"]:
    """Give the states of every Gaussian: spherical k-means over the times at which it was seen (4D LangSplat, 3.4).

    The first prototype is the code nearest to the mean, each further one the code farthest from those before, so that
    nothing is left to chance. Where a Gaussian has fewer codes than states, prototypes repeat.

    Args:
        codes: of every Gaussian at sampled times; any length.
        seen: where a code counts.
        states: K.
        turns: of k-means.
    """
    units = normalize(codes, dim=-1) * seen[..., None]
    mean = normalize(units.sum(0), dim=-1)
    chosen = [_pick(units, seen, torch.einsum("tns,ns->tn", units, mean))]
    for _ in range(states - 1):
        nearest = torch.stack([torch.einsum("tns,ns->tn", units, p) for p in chosen]).amax(0)
        chosen.append(_pick(units, seen, -nearest))
    prototypes = torch.stack(chosen, dim=1)
    for _ in range(turns):
        nearest = torch.einsum("tns,nks->tnk", units, prototypes).argmax(-1)
        member = torch.nn.functional.one_hot(nearest, states).to(units) * seen[..., None]
        sums = torch.einsum("tnk,tns->nks", member, units)
        prototypes = torch.where(sums.norm(dim=-1, keepdim=True) > 1e-6, normalize(sums, dim=-1), prototypes)
    return prototypes


def _pick(units: Float[Tensor, "T N s"], seen: Bool[Tensor, "T N"], merit: Float[Tensor, "T N"]) -> Tensor:
    best = merit.masked_fill(~seen, -torch.inf).argmax(0)
    return units[best, torch.arange(units.shape[1], device=units.device)]


def status_loss(
    found: Float[Tensor, "*P s"], target: Float[Tensor, "*P s"], weight: Float[Tensor, "*P"], cosine_weight: float
) -> Float[Tensor, ""]:
    """Give the weighted mean of the absolute difference, plus that of 1 - cosine."""
    apart = (found - target).abs().mean(-1) + cosine_weight * (1 - torch.cosine_similarity(found, target, dim=-1))
    return (apart * weight).sum() / weight.sum().clamp_min(1e-9)


class StatusFit:
    """A status network under optimisation.

    Args:
        gaussians: the canonical ones, N.
        deformation: frozen.
        prototypes: where to start, from `prototypes_of`.
        settings: how.

    Raises:
        SettingsError: a setting lies outside its range or does not fit the prototypes.
    """

    def __init__(
        self,
        gaussians: Gaussians,
        deformation: Deformation,
        prototypes: Float[Tensor, "N K s"],
        settings: StatusSettings,
    ) -> None:
        s = settings
        if s.states < 1 or s.steps < 1 or min(s.lr_prototypes, s.lr_net, s.cosine_weight) < 0:
            raise SettingsError("a status network needs states and steps of at least 1 and no negative number", s)
        if prototypes.shape[:2] != (len(gaussians), s.states):
            raise SettingsError("prototypes do not fit Gaussians and states", f"{list(prototypes.shape)}, {s}")
        self.gaussians, self.deformation, self.settings = gaussians.detach(), deformation, s
        width = len(deformation.trunk_bias)
        generator = torch.Generator().manual_seed(step_seed(s.seed, 0, "status"))
        bound = (3 / width) ** 0.5
        start = StatusNet(
            prototypes.float(),
            (torch.rand(width, width, generator=generator) * 2 - 1) * bound,
            torch.zeros(width),
            torch.zeros(s.states, width),
            torch.zeros(s.states),
        )
        device = gaussians.means.device
        self._net = StatusNet(**{name: torch.nn.Parameter(t.to(device).clone()) for name, t in vars(start).items()})
        layers = [t for name, t in vars(self._net).items() if name != "prototypes"]
        groups = [{"params": [self._net.prototypes], "lr": s.lr_prototypes}, {"params": layers, "lr": s.lr_net}]
        self._adam = torch.optim.Adam(groups, eps=1e-15)

    @property
    def net(self) -> StatusNet:
        """The network as it is now, cut from the graph."""
        return StatusNet(**{name: t.detach().clone() for name, t in vars(self._net).items()})

    def step_gaussians(
        self, time_s: float, targets: Float[Tensor, "N s"], weight: Float[Tensor, " N"]
    ) -> dict[str, float]:
        """Take one step towards codes per Gaussian at a time; those of weight 0 do not count."""
        with kernels_only():
            return self._take(self._features(time_s), targets, weight)

    def step_view(
        self, camera: Camera, targets: Float[Tensor, "H W s"], valid: Bool[Tensor, "H W"]
    ) -> dict[str, float]:
        """Take one step towards codes per pixel of a view.

        Raises:
            FormatError: the view has no time.
        """
        if camera.time_s is None:
            raise FormatError("a picture of a scene that moves has no time", remedy="give every frame a time")
        with kernels_only():
            moved = deform(self.gaussians, self.deformation, camera.time_s).detach()
            options = RasterOptions(colour=False)
            drawn = rasterize(moved, camera, channels=self._features(camera.time_s), options=options).channels
            return self._take(cast(Tensor, drawn), targets, valid)

    def _features(self, time_s: float) -> Float[Tensor, "N s"]:
        with torch.no_grad():
            hidden = hidden_state(self.deformation, self.gaussians.means, time_s)
        return mix(self._net.prototypes, net_shares(self._net, hidden))

    def _take(self, found: Tensor, targets: Tensor, weight: Tensor) -> dict[str, float]:
        targets, weight = targets.to(found), weight.to(found)
        loss = status_loss(found, targets, weight, self.settings.cosine_weight)
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._adam.step()
        cosine = torch.cosine_similarity(found.detach(), targets, dim=-1) * weight
        return {"loss": float(loss.detach()), "cosine": float(cosine.sum() / weight.sum().clamp_min(1e-9))}
