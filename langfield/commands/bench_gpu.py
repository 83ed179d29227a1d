"""What `langfield bench gpu` adds to the rasterizer's report: fitting and lifting a field on the GPU and on the CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera, Points
from langfield.codec import fit_codebook
from langfield.field.language import LanguageFit, LanguageSettings
from langfield.field.lift_solve import LiftSettings, LiftView, lift
from langfield.field.photometric import CPU, PhotometricFit, PhotometricSettings, psnr, view_order
from langfield.progress import say
from langfield.raster import Gaussians, rasterize
from langfield.raster.measure.bench import random_scene

VIEWS, WIDTH, HEIGHT, SEGMENT_PX, DIM = 8, 640, 480, 48, 64


@dataclass(frozen=True)
class Made:
    """A seeded scene, eight pictures of it, and segments that are squares."""

    scene: Gaussians
    cameras: Sequence[Camera]
    photos: Sequence[Float[Tensor, "H W 3"]]
    views: Sequence[LiftView]


def bench_fit(device: torch.device, steps: int = 400, n: int = 20_000) -> dict[str, Any]:
    """Fit, train language and lift on both devices.

    Args:
        device: the GPU.
        steps: of the colour stage; a tenth of them for language.
        n: Gaussians.

    Returns:
        Milliseconds a step, PSNR (dB) reached, and how many codes lifted on the GPU differ from the CPU's.
    """
    made = _make(n)
    found: dict[str, Any] = {}
    for place in (CPU, device):
        say(f"fitting on {place}")
        found |= {f"{name}_{place.type}": value for name, value in _fit(made, place, steps).items()}
    codec = fit_codebook(torch.cat([v.vectors for v in made.views]))
    lifted = [lift(_on(made.scene, place), made.views, codec, LiftSettings()) for place in (CPU, device)]
    differing = (lifted[0].codes != lifted[1].codes).any(dim=-1).float().mean()
    return {**found, "codes_lifted_otherwise": f"{float(differing):.2e}"}


def _make(n: int) -> Made:
    scene, first = random_scene(n, WIDTH, HEIGHT)
    cameras = [_turned(first, i) for i in range(VIEWS)]
    photos = [_colour(rasterize(scene, camera)) for camera in cameras]
    rows, columns = (torch.arange(side) // SEGMENT_PX for side in (HEIGHT, WIDTH))
    ids = (rows[:, None] * (WIDTH // SEGMENT_PX + 1) + columns).to(torch.int16).expand(3, -1, -1)
    g = torch.Generator().manual_seed(0)
    many = int(ids.max()) + 1
    views = [LiftView(c, ids, normalize(torch.randn(many, DIM, generator=g), dim=1)) for c in cameras]
    return Made(scene, cameras, photos, views)


def _turned(camera: Camera, number: int) -> Camera:
    """Move a camera a little to the side, another way for each number."""
    pose = camera.T_world_camera.clone()
    angle = 2 * math.pi * number / VIEWS
    pose[:3, 3] += 0.1 * (math.cos(angle) * pose[:3, 0] + math.sin(angle) * pose[:3, 1])
    return Camera(camera.K, camera.width, camera.height, pose, camera.distortion, camera.time_s)


def _fit(made: Made, device: torch.device, steps: int) -> dict[str, float]:
    g = torch.Generator().manual_seed(1)
    start = made.scene.means + 0.01 * torch.randn(made.scene.means.shape, generator=g)
    points = Points(start, torch.full((len(start), 3), 128, dtype=torch.uint8))
    settings = PhotometricSettings(steps=steps, max_gaussians=2 * len(start))
    fit = PhotometricFit(points, made.cameras, settings, device)
    begin = time.perf_counter()
    for step in range(steps):
        row = view_order(len(made.cameras), step, 0)
        fit.step(step, made.cameras[row], made.photos[row])
    colour = (time.perf_counter() - begin) / steps
    drawn = [_colour(rasterize(fit.gaussians, c)).cpu() for c in made.cameras]
    quality = sum(psnr(a, b) for a, b in zip(drawn, made.photos, strict=True)) / len(drawn)
    return {"colour_step_ms": round(1000 * colour, 2), "psnr_db": round(quality, 2), **_language(made, device, steps)}


def _language(made: Made, device: torch.device, steps: int) -> dict[str, float]:
    fit = LanguageFit(_on(made.scene, device), 3, 3, LanguageSettings(steps=max(steps // 10, 1), gather_steps=0))
    target, valid = torch.ones(HEIGHT, WIDTH, 3, 3) / math.sqrt(3), torch.ones(HEIGHT, WIDTH, 3, dtype=torch.bool)
    begin = time.perf_counter()
    for step in range(fit.settings.steps):
        fit.step(step, made.cameras[step % VIEWS], target, valid)
    return {"language_step_ms": round(1000 * (time.perf_counter() - begin) / fit.settings.steps, 2)}


def _on(scene: Gaussians, device: torch.device) -> Gaussians:
    return Gaussians(*(t.to(device) for t in scene.tensors()))


def _colour(view: Any) -> Tensor:
    return view.colour.detach().clamp(0, 1)
