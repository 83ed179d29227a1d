"""Fit Gaussians to photographs by gradient descent on what they look like (3DGS, Kerbl et al. 2023)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from langfield.capture.types import Camera, Points
from langfield.errors import FormatError, SettingsError
from langfield.field.motion import STILL, Motion
from langfield.progress import say
from langfield.raster import Gaussians, rasterize
from langfield.raster.ssim import ssim
from langfield.raster.threads import kernels_only

SH_C0 = 0.28209479177387814
NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")
CPU = torch.device("cpu")
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
DENSITY = ("grad2d", "count")


@dataclass(frozen=True)
class PhotometricSettings:
    """How the photometric fit goes; the defaults suit some tens of photos at 320x240 on two cores."""

    steps: int = 1000
    """Steps of the whole fit; learning rates and the schedules below are laid out over them."""
    max_gaussians: int = 20_000
    """Growth stops here; of those that want to grow, the ones with the highest gradient do. In blocks: of each of them,
    with what it sees around it."""
    sh_degree: int = 1
    """Highest spherical harmonic degree stored, 0 to 3."""
    sh_every: int = 500
    """Steps after which one more degree is used."""
    half_size_until: float = 0.4
    """Part of the steps worked on pictures of half the size, which is four times faster."""
    lr_means: float = 3.2e-4
    """Adam learning rate of the centres at the start, times the scene's extent."""
    lr_means_end: float = 0.02
    """Its factor at the last step (exponential decay)."""
    lr_scales: float = 1e-2
    lr_quats: float = 2e-3
    lr_opacities: float = 5e-2
    lr_sh0: float = 5e-3
    lr_shN: float = 5e-4
    ssim_weight: float = 0.2
    """Share of 1 - SSIM in the loss; the rest is the mean absolute difference."""
    first_opacity: float = 0.3
    densify_from: float = 0.1
    """Part of the steps after which Gaussians start to be split, doubled and dropped."""
    densify_until: float = 0.75
    """Part of the steps after which their number stays."""
    densify_every: int = 100
    densify_gradient: float = 2e-4
    """Mean gradient by the centre on the screen, in half picture sides, above which a Gaussian grows."""
    drop_opacity: float = 0.005
    """Gaussians fainter than this are dropped."""
    random_background: bool = False
    """Blend over a random colour each step, so that what is empty does not come out black."""
    seed: int = 0


def psnr(a: Float[Tensor, "*S"], b: Float[Tensor, "*S"]) -> float:
    """Give the peak signal-to-noise ratio of two pictures with values 0 to 1, in dB (100 where equal)."""
    mse = float((a.detach() - b.detach()).square().mean())
    return -10 * math.log10(max(mse, 1e-10))


def photometric_loss(
    drawn: Float[Tensor, "H W 3"], image: Float[Tensor, "H W 3"], ssim_weight: float
) -> Float[Tensor, ""]:
    """Give 3DGS's loss of a drawn picture: mean absolute difference and 1 - SSIM, in shares that add up to 1."""
    loss = (1 - ssim_weight) * (drawn - image).abs().mean()
    return loss + ssim_weight * (1 - ssim(drawn, image)) if ssim_weight else loss


def view_order(n_views: int, step: int, seed: int) -> int:
    """Give the view to use at a step: every view once per epoch, in an order of its own for each epoch."""
    epoch, place = divmod(step, n_views)
    return int(np.random.default_rng((seed, epoch)).permutation(n_views)[place])


def step_seed(seed: int, step: int, purpose: str) -> int:
    """Give a seed that depends on nothing but its arguments."""
    return int.from_bytes(hashlib.sha256(f"{seed} {step} {purpose}".encode()).digest()[:7], "little")


def scene_extent(cameras: Sequence[Camera], xyz: Float[Tensor, "P 3"]) -> float:
    """Give the size of a scene in world units: how far the cameras lie from their middle, as in 3DGS.

    Args:
        cameras: of the views to be fitted.
        xyz: start points, asked when all cameras stand in one place.
    """
    centres = torch.stack([c.T_world_camera[:3, 3].float() for c in cameras])
    middle = centres.mean(0)
    extent = 1.1 * float((centres - middle).norm(dim=1).max())
    if extent > 1e-6:
        return extent
    return max(float((xyz - middle).norm(dim=1).median()) if len(xyz) else 1.0, 1e-6)


def random_points(cameras: Sequence[Camera], count: int, extent: float, seed: int) -> Points:
    """Give grey points spread over what the cameras see, at distances up to three times the scene's extent."""
    g = torch.Generator().manual_seed(step_seed(seed, 0, "points"))
    per_camera = -(-count // len(cameras))
    clouds = []
    for camera in cameras:
        uv = torch.rand(per_camera, 2, generator=g) * torch.tensor([camera.width, camera.height])
        ray = torch.cat([uv, torch.ones(per_camera, 1)], 1) @ torch.linalg.inv(camera.K.float()).T
        T = camera.T_world_camera.float()
        depth = extent * (0.2 + 2.8 * torch.rand(per_camera, 1, generator=g))
        clouds.append((ray * depth) @ T[:3, :3].T + T[:3, 3])
    xyz = torch.cat(clouds)[:count]
    return Points(xyz, torch.full((len(xyz), 3), 128, dtype=torch.uint8))


def start_points(points: Points, cameras: Sequence[Camera], settings: PhotometricSettings) -> Points:
    """Give the points a fit starts from: random ones where there are none."""
    if len(points.xyz):
        return points
    count = min(10_000, settings.max_gaussians)
    return random_points(cameras, count, scene_extent(cameras, points.xyz), settings.seed)


class PhotometricFit:
    """Gaussians on their way to look like the photos; one `step` per photo, any order, any sizes."""

    def __init__(
        self,
        points: Points,
        cameras: Sequence[Camera],
        settings: PhotometricSettings,
        device: torch.device = CPU,
        motion: Motion = STILL,
    ) -> None:
        """Start from points.

        Args:
            points: P start points, world units; random ones are used where P is 0, and a person is told so.
            cameras: of all views to be fitted, for the scene's size.
            settings: how to fit.
            device: where to fit; starts, states and photos may lie elsewhere.
            motion: how the Gaussians differ from the canonical ones, which are fitted here, at each photo's time.

        Raises:
            SettingsError: there is no camera, or a setting lies outside its range.
        """
        _check(settings, cameras)
        self.settings, self.device, self.motion = settings, device, motion
        self.extent = scene_extent(cameras, points.xyz)
        if len(points.xyz) == 0:
            points = start_points(points, cameras, settings)
            say(f"There are no start points: starting from {len(points.xyz)} random ones in the cameras' view.")
        start = start_gaussians(points, self.extent, settings)
        self._params = torch.nn.ParameterDict({name: torch.nn.Parameter(t.to(device)) for name, t in start.items()})
        rates = _rates(settings, self.extent)
        self._adam = {
            name: torch.optim.Adam([self._params[name]], lr=rates[name], eps=1e-15, fused=True) for name in NAMES
        }
        self._strategy = _strategy(settings)
        self._density: dict[str, Any] = self._strategy.initialize_state(self.extent)
        self._step = 0

    @property
    def gaussians(self) -> Gaussians:
        """The canonical Gaussians as they are now, cut from the graph."""
        return self._scene(self.settings.sh_degree).detach()

    def _scene(self, degree: int) -> Gaussians:
        p = self._params
        sh = torch.cat([p["sh0"], p["shN"][:, : (degree + 1) ** 2 - 1]], 1)
        return Gaussians(p["means"], p["quats"], p["scales"], p["opacities"], sh)

    def step(self, step: int, camera: Camera, image: Float[Tensor, "H W 3"]) -> dict[str, float]:
        """Take one step of gradient descent.

        Args:
            step: its number, from 0; all randomness and all schedules follow from it.
            camera: where the photo was taken; no distortion.
            image: the photo, 0 to 1, of the camera's size.

        Returns:
            loss, psnr (dB, at the size worked on) and n_gaussians.

        Raises:
            FormatError: photo and camera differ in size, or the photo or the loss is not finite.
        """
        if tuple(image.shape) != (camera.height, camera.width, 3):
            raise FormatError(
                f"a photo does not have its camera's size {camera.height}x{camera.width}x3",
                f"image {list(image.shape)}",
            )
        with kernels_only():
            return self._take(step, *self._sized(step, camera, image.to(self.device)))

    def _take(self, step: int, camera: Camera, image: Tensor) -> dict[str, float]:
        degree = min(step // self.settings.sh_every, self.settings.sh_degree)
        scene, penalty = self.motion.at(self._scene(degree), camera.time_s, step)
        view = rasterize(scene, camera)
        view.means2d.retain_grad()
        assert view.colour is not None  # noqa: S101 - drawn by default; said for the type checker
        drawn = self._with_background(step, view.colour, view.alpha)
        loss = photometric_loss(drawn, image, self.settings.ssim_weight) + penalty
        value = float(loss.detach())
        if not math.isfinite(value):
            raise FormatError("the photometric loss is not finite", f"step {step}", "check the photo and the cameras")
        loss.backward()
        self._descend(step)
        moved = view.means2d.grad if view.means2d.grad is not None else torch.zeros_like(view.means2d)
        self._densify(step, moved, view.radii, camera)
        self._step = step + 1
        return {"loss": value, "psnr": psnr(drawn.clamp(0, 1), image), "n_gaussians": float(len(self._params["means"]))}

    def _sized(self, step: int, camera: Camera, image: Tensor) -> tuple[Camera, Tensor]:
        if step >= self.settings.half_size_until * self.settings.steps or min(camera.width, camera.height) < 32:
            return camera, image
        size = camera.height // 2, camera.width // 2
        small = interpolate(image.permute(2, 0, 1)[None], size=size, mode="area")[0].permute(1, 2, 0)
        return camera.resized(size[1], size[0]), small

    def _with_background(self, step: int, colour: Tensor, alpha: Tensor) -> Tensor:
        if not self.settings.random_background:
            return colour
        generator = torch.Generator().manual_seed(step_seed(self.settings.seed, step, "background"))
        return colour + (1 - alpha)[..., None] * torch.rand(3, generator=generator).to(colour)

    def _descend(self, step: int) -> None:
        part = min(step / max(self.settings.steps, 1), 1.0)
        rate = _rates(self.settings, self.extent)["means"] * self.settings.lr_means_end**part
        self._adam["means"].param_groups[0]["lr"] = rate
        for optimizer in self._adam.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.motion.descend(step)

    def _densify(self, step: int, grad: Tensor, radii: Tensor, camera: Camera) -> None:
        info = {
            "means2d": _WithGradient(grad[None]), "radii": radii[None], "width": camera.width,
            "height": camera.height, "n_cameras": 1, "gaussian_ids": None,
        }  # fmt: skip
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(step_seed(self.settings.seed, step, "split"))
            self._strategy.step_post_backward(self._params, self._adam, self._density, step, info)

    def state(self) -> dict[str, Tensor | int]:
        """Give all that decides how the fit goes on, as copies: tensors and whole numbers only."""
        out: dict[str, Tensor | int] = {"step": self._step, **self.motion.state()}
        for name in NAMES:
            out[f"param.{name}"] = self._params[name].detach().clone()
            moments = self._adam[name].state.get(self._params[name], {})
            out |= {f"adam.{name}.{key}": moments[key].clone() for key in MOMENTS if key in moments}
        return out | {f"density.{key}": self._density[key].clone() for key in DENSITY if self._density[key] is not None}

    def load_state(self, state: Mapping[str, Tensor | int]) -> None:
        """Go on from what `state` gave.

        Raises:
            FormatError: something is missing from it or has the wrong shape.
        """
        try:
            self._step = int(state["step"])
            for name in NAMES:
                self._load_one(name, state)
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            raise FormatError(f"the state of the photometric fit is incomplete: {error}", "state") from error
        self.motion.load_state(state)
        self._density |= {key: _copy(state.get(f"density.{key}"), self.device) for key in DENSITY}

    def _load_one(self, name: str, state: Mapping[str, Tensor | int]) -> None:
        value = _copy(state[f"param.{name}"], self.device)
        n = len(_copy(state["param.means"], self.device))
        if value.shape != (n, *self._params[name].shape[1:]):
            raise FormatError("a tensor of the photometric fit has the wrong shape", f"{name} {list(value.shape)}")
        optimizer = self._adam[name]
        optimizer.state.clear()
        self._params[name] = parameter = torch.nn.Parameter(value)
        optimizer.param_groups[0]["params"] = [parameter]
        keys = [key for key in MOMENTS if f"adam.{name}.{key}" in state]
        if keys:
            optimizer.state[parameter] = {key: _copy(state[f"adam.{name}.{key}"], self.device) for key in keys}


@dataclass(frozen=True)
class _WithGradient:
    """Stands in for the screen centres where gsplat's strategy reads their gradient."""

    grad: Tensor


def _copy(value: Any, device: torch.device) -> Any:
    return None if value is None else value.detach().to(device, copy=True)


def _check(s: PhotometricSettings, cameras: Sequence[Camera]) -> None:
    if not cameras:
        raise SettingsError("the photometric fit needs at least one camera")
    if not (s.steps > 0 and s.max_gaussians > 0 and 0 <= s.sh_degree <= 3 and 0 <= s.ssim_weight <= 1):
        raise SettingsError(
            "a photometric setting lies outside its range",
            f"steps {s.steps}, max_gaussians {s.max_gaussians}, sh_degree {s.sh_degree}, ssim_weight {s.ssim_weight}",
        )


def _rates(s: PhotometricSettings, extent: float) -> dict[str, float]:
    rates = (s.lr_means * extent, s.lr_quats, s.lr_scales, s.lr_opacities, s.lr_sh0, s.lr_shN)
    return dict(zip(NAMES, rates, strict=True))


def start_gaussians(points: Points, extent: float, settings: PhotometricSettings) -> dict[str, Tensor]:
    """Give one round Gaussian per point, as wide as its three nearest neighbours are far on average.

    Args:
        points: at least one; a seeded choice of them where there are more than `max_gaussians`.
        extent: of the scene, world units; bounds the widths.
        settings: of the fit.
    """
    xyz, rgb = points.xyz.float(), points.rgb.float() / 255
    finite = xyz.isfinite().all(1)
    xyz, rgb = xyz[finite], rgb[finite]
    if len(xyz) > settings.max_gaussians:
        g = torch.Generator().manual_seed(step_seed(settings.seed, 0, "start"))
        kept = torch.randperm(len(xyz), generator=g)[: settings.max_gaussians].sort().values
        xyz, rgb = xyz[kept], rgb[kept]
    n = len(xyz)
    sh_rest = (settings.sh_degree + 1) ** 2 - 1
    return {
        "means": xyz.clone(),
        "quats": torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        "scales": neighbour_distance(xyz).clamp(1e-4 * extent, extent).log()[:, None].repeat(1, 3),
        "opacities": torch.logit(torch.full((n,), settings.first_opacity)),
        "sh0": ((rgb - 0.5) / SH_C0)[:, None],
        "shN": torch.zeros(n, sh_rest, 3),
    }


def neighbour_distance(xyz: Float[Tensor, "P 3"]) -> Float[Tensor, " P"]:
    """Give the root mean square distance to the three nearest other points, world units (0 where there are none)."""
    from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue]

    near = min(4, len(xyz))
    if near < 2:
        return torch.zeros(len(xyz))
    distances, _ = cKDTree(xyz.numpy()).query(xyz.numpy(), k=near)
    return torch.from_numpy(np.sqrt((distances[:, 1:] ** 2).mean(1))).float()


def _strategy(s: PhotometricSettings) -> Any:
    """Give gsplat's default strategy, held to `max_gaussians`."""
    from gsplat import DefaultStrategy

    class CappedStrategy(DefaultStrategy):
        """Doubling and splitting both add one Gaussian each, so the room left says how many may grow."""

        def _grow_gs(self, params: Any, optimizers: Any, state: Any, step: int) -> tuple[int, int]:
            room = s.max_gaussians - len(params["means"])
            if room <= 0:
                return 0, 0
            mean = state["grad2d"] / state["count"].clamp_min(1)
            if int((mean > s.densify_gradient).sum()) > room:
                self.grow_grad2d = float(mean.sort(descending=True).values[room])
            grown = super()._grow_gs(params, optimizers, state, step)
            self.grow_grad2d = s.densify_gradient
            return grown

    return CappedStrategy(
        prune_opa=s.drop_opacity,
        grow_grad2d=s.densify_gradient,
        refine_start_iter=int(s.densify_from * s.steps),
        refine_stop_iter=int(s.densify_until * s.steps),
        refine_every=s.densify_every,
        reset_every=2 * s.steps,
    )
