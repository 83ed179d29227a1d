"""What one photo costs with the real models, stage by stage, in processor time on one thread."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from langfield.capture import read_capture
from langfield.capture.images import read_picture
from langfield.capture.normalize import normalize_frame
from langfield.segment import segmenter
from langfield.settings import RunSettings
from langfield.stages import choose_views
from langfield.suite import image_encoder
from langfield.suite.crops import embed_segments

PHOTOS = 3


def costs(data: Path) -> dict[str, Any]:
    """Time a few photos one by one.

    Args:
        data: a capture.

    Returns:
        size of the pictures, segments a photo, and processor seconds a photo for frame, masks and embeddings.
    """
    settings, rows = RunSettings(), []
    finder, encoder = segmenter(settings.segmenter, settings.segment), image_encoder(settings.image_encoder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for frame in choose_views(read_capture(data), PHOTOS).frames:
            with tempfile.TemporaryDirectory() as out:
                frame_s, made = _timed(lambda f=frame, o=out: normalize_frame(f, Path(o), "a.png", settings.frames))
                image = read_picture(made.path)
            masks_s, segments = _timed(lambda i=image: finder.segment(i))
            embed_s, _ = _timed(lambda i=image, s=segments: embed_segments(i, s, encoder))
            rows.append((frame_s, masks_s, embed_s, len(segments.levels), image.shape[:2]))
    finally:
        torch.set_num_threads(threads)
    mean = [sum(row[i] for row in rows) / len(rows) for i in range(4)]
    return {
        "photos": len(rows), "height_px": rows[0][4][0], "width_px": rows[0][4][1], "segments": round(mean[3], 1),
        "frame_cpu_s": round(mean[0], 4), "masks_cpu_s": round(mean[1], 3), "embeddings_cpu_s": round(mean[2], 3),
    }  # fmt: skip


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found
