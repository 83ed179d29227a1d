"""The sharpest frames of a video, spread evenly over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from langfield.artefacts import write_bytes
from langfield.errors import FormatError
from langfield.progress import track

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm")
SMALL_HEIGHT_PX = 240
MAX_SIDE_PX = 8192


def frame_size(video: Path) -> tuple[int, int]:
    """Give a video's upright width and height in pixels.

    Raises:
        FormatError: ffmpeg cannot read it.
    """
    import imageio_ffmpeg

    try:
        reader = imageio_ffmpeg.read_frames(str(video.resolve()))
        about = next(reader)
        reader.close()
        width, height = about["size"]
    except (OSError, RuntimeError, ValueError, KeyError, IndexError, StopIteration) as error:
        raise FormatError("video cannot be read", video, "convert it with ffmpeg first") from error
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise FormatError(f"video frames of {width}x{height} pixels are not supported", video)
    return width, height


def extract_frames(video: Path, images: Path, n_frames: int) -> list[str]:
    """Write the sharpest frame of each of `n_frames` equal stretches as `frame_00000.jpg` and so on.

    Sharpness is the variance of the Laplacian at 240 pixels of height. Frames already there are kept.

    Raises:
        FormatError: the video cannot be read or has no frames.
        StorageError: writing failed.
    """
    size = frame_size(video)
    small = max(2, round(size[0] * SMALL_HEIGHT_PX / size[1])), SMALL_HEIGHT_PX
    sharpness = [
        float(cv2.Laplacian(frame, cv2.CV_32F).var())
        for frame in track(decode_frames(video, small, "gray"), "sharpness")
    ]
    if not sharpness:
        raise FormatError("video has no frames", video)
    stretches = np.array_split(np.arange(len(sharpness)), min(n_frames, len(sharpness)))
    best = {int(s[np.argmax([sharpness[i] for i in s])]): f"frame_{k:05d}.jpg" for k, s in enumerate(stretches)}
    if all((images / name).is_file() for name in best.values()):
        return list(best.values())
    for index, frame in enumerate(track(decode_frames(video, size, "bgr24"), "video", len(sharpness))):
        if index in best:
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            write_bytes(images / best[index], data.tobytes())
    return list(best.values())


def decode_frames(video: Path, size: tuple[int, int], layout: str) -> Iterator[np.ndarray]:
    """Decode a video frame by frame, as gray [H, W] or bgr24 [H, W, 3]."""
    import imageio_ffmpeg

    bits, shape = (8, (size[1], size[0])) if layout == "gray" else (24, (size[1], size[0], 3))
    scale = ["-vf", f"scale={size[0]}:{size[1]}"]
    reader = imageio_ffmpeg.read_frames(str(video.resolve()), pix_fmt=layout, bits_per_pixel=bits, output_params=scale)
    if tuple(next(reader)["size"]) != size:
        raise FormatError("video frames are not of the size its header says", video, "convert it with ffmpeg first")
    for raw in reader:
        yield np.frombuffer(raw, np.uint8).reshape(shape)
