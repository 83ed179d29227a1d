"""Pictures to CLIP's input: shorter side to 224 by bicubic resampling, centre crop, mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from langfield.errors import FormatError

SIZE = 224
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
ABOUT: dict[str, Any] = {
    "size": SIZE, "resize": "shorter side, bicubic", "crop": "centre", "mean": list(MEAN), "std": list(STD),
}  # fmt: skip


def clip_pixels(images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> Float[Tensor, "B 3 224 224"]:
    """Give the network's input of RGB pictures of any sizes (OpenAI CLIP's preprocessing).

    Raises:
        FormatError: a picture is not uint8 with three channels, or is empty.
    """
    stack = np.stack([_square(image, i) for i, image in enumerate(images)])
    pixels = torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255)
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _square(image: np.ndarray, index: int) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise FormatError(f"picture {index} is not uint8 RGB: {image.dtype} {image.shape}", remedy="convert it to RGB")
    height, width = image.shape[:2]
    if (height, width) == (SIZE, SIZE):
        return image
    scale = SIZE / min(height, width)
    size = (max(SIZE, round(width * scale)), max(SIZE, round(height * scale)))
    resized = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - SIZE) // 2, (size[1] - SIZE) // 2
    return np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)))
