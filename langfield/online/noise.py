"""What a real camera does to an exact sequence: depth noise that grows with distance squared, holes, blur, exposure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from langfield.capture.rgbd import Recorded, RgbdFrame, Shot
from langfield.capture.types import Camera

BLUR_STEPS = 7
"""Moments within an exposure that are averaged."""


@dataclass(frozen=True)
class NoiseSettings:
    """How bad the camera is; the numbers are those of a first Kinect at arm's length."""

    seed: int = 0
    """Same seed, same frame, same noise."""
    disparity_m: float = 43.5
    """Focal length times baseline, pixels x metres: depth is this over a disparity."""
    disparity_noise_px: float = 0.06
    """Standard deviation of disparity: 1.4 mm of depth at 1 m, 5.5 mm at 2 m."""
    disparity_step_px: float = 0.125
    """Disparity comes in such steps."""
    range_m: tuple[float, float] = (0.4, 5.0)
    """Nothing is measured nearer or further."""
    edge_share: float = 0.04
    """Depth that jumps by more than this share between neighbours is an edge ..."""
    edge_loss: float = 0.7
    """... where so many pixels are lost."""
    grazing_cosine: float = 0.2
    """Surfaces seen flatter than this give no depth."""
    dark_level: int = 22
    """Pixels darker than this (of 255) mostly give no depth."""
    speckle_loss: float = 0.003
    """Pixels lost anywhere."""
    read_noise: float = 1.5
    """Standard deviation of dark pixels, of 255."""
    shot_noise: float = 0.03
    """Growth of variance with brightness."""
    exposure_s: float = 0.010
    """How long the shutter is open: what moves is smeared along its way."""
    gain_swing: float = 0.12
    """How far brightness wanders, as a share, both ways."""


@dataclass(frozen=True)
class Noisy:
    """An exact recorded stream as a real camera would have recorded it; poses and times stay."""

    source: Recorded
    settings: NoiseSettings = field(default_factory=NoiseSettings)

    @property
    def name(self) -> str:
        """A few words to show."""
        return f"{self.source.name} with noise"

    @property
    def unit(self) -> str:
        """Unit of poses and depth."""
        return self.source.unit

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.source)

    def __len__(self) -> int:
        """Give the number of frames."""
        return len(self.source)

    def __iter__(self) -> Iterator[RgbdFrame]:
        """Load frame after frame; after a FormatError the next frame can still be asked for."""
        return map(self.__getitem__, range(len(self.source)))

    def __getitem__(self, index: int) -> RgbdFrame:
        """Load one frame and spoil it.

        Raises:
            FormatError: its files are missing or damaged.
        """
        frame, shots = self.source[index], self.source.shots
        motion = motion_between(shots[max(0, index - 1)], shots[min(max(1, index), len(shots) - 1)])
        return spoil(frame, motion, self.settings)


@dataclass(frozen=True)
class Motion:
    """How the camera moved."""

    step: Float[np.ndarray, "4 4"]
    """Camera after to camera before."""
    seconds: float
    """That it took."""


def motion_between(before: Shot, after: Shot) -> Motion | None:
    """Give how the camera moved from one shot to a later one; None where a pose is missing or no time passed."""
    seconds = after.time_s - before.time_s
    if before.T_world_camera is None or after.T_world_camera is None or seconds <= 0:
        return None
    return Motion(np.linalg.inv(before.T_world_camera) @ after.T_world_camera, seconds)


def spoil(frame: RgbdFrame, motion: Motion | None, settings: NoiseSettings) -> RgbdFrame:
    """Give a frame with the noise of a real camera; deterministic in seed and `frame.index`.

    Args:
        frame: exact.
        motion: of the camera around this frame; None for a still one.
        settings: see `NoiseSettings`.
    """
    rng = np.random.default_rng([settings.seed, frame.index])
    image = frame.image
    if frame.depth_m is not None and motion is not None:
        image = blurred(image, frame.depth_m, frame.camera, motion.step, settings.exposure_s / motion.seconds)
    image = exposed(image, frame.index, rng, settings)
    depth = measured(frame.depth_m, image, frame.camera, rng, settings) if frame.depth_m is not None else None
    return replace(frame, image=image, depth_m=depth)


def measured(
    depth_m: Float[np.ndarray, "H W"],
    image: UInt8[np.ndarray, "H W 3"],
    camera: Camera,
    rng: np.random.Generator,
    settings: NoiseSettings,
) -> Float[np.ndarray, "H W"]:
    """Give depth as measured through noisy, stepped disparity (sigma grows with depth squared), with holes."""
    chance = rng.random(depth_m.shape)
    near, far = settings.range_m
    lost = ~((depth_m >= near) & (depth_m <= far)) | (chance < settings.speckle_loss)
    edge = edges(depth_m, settings.edge_share)
    lost |= edge & (rng.random(depth_m.shape) < settings.edge_loss)
    lost |= ~edge & (cosines(depth_m, camera) < settings.grazing_cosine)
    lost |= (image.max(axis=2) < settings.dark_level) & (rng.random(depth_m.shape) < 0.8)
    exact = settings.disparity_m / np.where(lost, 1.0, depth_m)
    noisy = exact + rng.normal(0, settings.disparity_noise_px, depth_m.shape)
    stepped = np.round(noisy / settings.disparity_step_px) * settings.disparity_step_px
    return np.where(lost, 0, settings.disparity_m / np.maximum(stepped, settings.disparity_step_px)).astype(np.float32)


def edges(depth_m: Float[np.ndarray, "H W"], share: float) -> Bool[np.ndarray, "H W"]:
    """Say where depth jumps by more than a share of itself within a pixel's eight neighbours."""
    depth = np.asarray(depth_m, np.float32)
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(depth, kernel) - cv2.erode(depth, kernel) > share * depth


def cosines(depth_m: Float[np.ndarray, "H W"], camera: Camera) -> Float[np.ndarray, "H W"]:
    """Give the cosine between each pixel's ray and its surface's normal, from depth alone; 1 is straight on."""
    points = places(depth_m, camera)
    normal = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    length = np.linalg.norm(normal, axis=2) * np.linalg.norm(points, axis=2)
    return np.abs((normal * points).sum(axis=2)) / np.maximum(length, 1e-12)


def places(depth_m: Float[np.ndarray, "H W"], camera: Camera) -> Float[np.ndarray, "H W 3"]:
    """Give each pixel's point in the camera's axes, metres."""
    K = camera.K.double().numpy()
    rows, columns = np.mgrid[: depth_m.shape[0], : depth_m.shape[1]] + 0.5
    rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones_like(rows)], axis=2)
    return rays * np.asarray(depth_m, np.float64)[..., None]


def blurred(
    image: UInt8[np.ndarray, "H W 3"],
    depth_m: Float[np.ndarray, "H W"],
    camera: Camera,
    step: Float[np.ndarray, "4 4"],
    share: float,
) -> UInt8[np.ndarray, "H W 3"]:
    """Average the picture along the way its points take while the shutter is open.

    Args:
        step: camera now to camera one frame before.
        share: of that step that the shutter is open for.
    """
    K = camera.K.double().numpy()
    points = places(depth_m, camera)
    moved = points @ step[:3, :3].T + step[:3, 3]
    z, before = np.maximum(points[..., 2:], 1e-6), np.maximum(moved[..., 2:], 1e-6)
    flow = ((moved[..., :2] / before - points[..., :2] / z) * np.array([K[0, 0], K[1, 1]])).astype(np.float32)
    flow *= (depth_m > 0)[..., None]
    rows, columns = np.mgrid[: depth_m.shape[0], : depth_m.shape[1]].astype(np.float32)
    total = np.zeros(image.shape, np.float64)
    for t in (np.linspace(-0.5, 0.5, BLUR_STEPS) * share).astype(np.float32):
        total += cv2.remap(
            image,
            columns + t * flow[..., 0],
            rows + t * flow[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return np.round(total / BLUR_STEPS).astype(np.uint8)


def exposed(
    image: UInt8[np.ndarray, "H W 3"], index: int, rng: np.random.Generator, settings: NoiseSettings
) -> UInt8[np.ndarray, "H W 3"]:
    """Give the picture at an exposure that wanders over the frames, with noise of sensor and light."""
    bright = image.astype(np.float64) * gain(index, settings)
    sigma = np.sqrt(settings.read_noise**2 + settings.shot_noise * bright)
    return np.round(bright + rng.normal(0, 1, image.shape) * sigma).clip(0, 255).astype(np.uint8)


def gain(index: int, settings: NoiseSettings) -> float:
    """Give the brightness of a frame as a factor: two slow waves, 1 at the first frame."""
    wave = 0.65 * np.sin(2 * np.pi * index / 97) + 0.35 * np.sin(2 * np.pi * index / 31)
    return float(np.exp(settings.gain_swing * wave))
