"""From linear radiance to an 8-bit picture: denoising, exposure, tone curve."""

from __future__ import annotations

from types import ModuleType

import numpy as np

EXPOSURE = 1.15


def denoiser() -> ModuleType | None:
    """Give Open Image Denoise where its package (pyoidn) is installed."""
    try:
        import pyoidn
    except ImportError:
        return None
    return pyoidn


def clean(radiance: np.ndarray, albedo: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Remove path-tracing noise from linear radiance [H, W, 3], led by albedo and normals of the same shape.

    Without Open Image Denoise this is a joint bilateral filter over the guides; it wants more samples.
    """
    oidn = denoiser()
    if oidn is not None:
        images = (np.ascontiguousarray(a, dtype=np.float32) for a in (radiance, albedo, normal))
        colour, first, second = images
        return oidn.denoise(colour, albedo=first, normal=second, hdr=True)
    return joint_bilateral(radiance, albedo, normal)


def joint_bilateral(radiance: np.ndarray, albedo: np.ndarray, normal: np.ndarray, reach: int = 4) -> np.ndarray:
    """Average the light (radiance over albedo) over neighbours of like albedo and normal, then put the albedo back."""
    base = albedo + 0.02
    light = np.log1p(radiance / base)
    total, weight = np.zeros_like(light), np.zeros(light.shape[:2])
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            moved = (np.roll(a, (dy, dx), (0, 1)) for a in (light, albedo, normal))
            near_light, near_albedo, near_normal = moved
            away = ((near_albedo - albedo) ** 2).sum(-1) / 0.01 + ((near_normal - normal) ** 2).sum(-1) / 0.05
            w = np.exp(-away - (dx * dx + dy * dy) / (0.5 * reach * reach))
            total += w[..., None] * near_light
            weight += w
    return np.expm1(total / weight[..., None]) * base


def tone(radiance: np.ndarray) -> np.ndarray:
    """Expose, roll highlights off (an extended Reinhard curve, white at 4) and encode as uint8 sRGB."""
    x = np.clip(radiance * EXPOSURE, 0.0, None)
    x = np.clip(x * (1 + x / 6.0) / (1 + 0.55 * x), 0.0, 1.0)
    coded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return (np.clip(coded, 0, 1) * 255 + 0.5).astype(np.uint8)
