"""Visual prompting: which object a picture is about, said in the picture (4D LangSplat, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from langfield.errors import SettingsError

RED = (255, 0, 0)
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class VisualPrompt:
    """Which of the three marks are made; 4D LangSplat makes all of them."""

    contour: bool = True
    """Draw a red line around the mask, outside of it: no pixel of the object is lost."""
    blur: bool = True
    """Blur what lies outside of the mask."""
    gray: bool = True
    """Take the colours out of what lies outside of the mask."""
    contour_px: int = 2
    """Width of the red line, pixels."""
    blur_px: float = 10.0
    """Standard deviation of the blur, pixels."""

    def __post_init__(self) -> None:
        if not 1 <= self.contour_px <= 64 or not 0 < self.blur_px <= 256:
            raise SettingsError("a contour takes 1 to 64 pixels and a blur up to 256", f"{self}")


def mark(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], prompt: VisualPrompt | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Give the picture that a captioner sees: blur, then gray, then contour; inside the mask nothing changes.

    Args:
        image: RGB picture.
        mask: the object's pixels.
        prompt: what is done; all three marks by default.

    Raises:
        SettingsError: the mask is not of the picture's size.
    """
    prompt = prompt or VisualPrompt()
    if mask.shape != image.shape[:2]:
        raise SettingsError(f"a mask of {mask.shape} does not belong to a picture of {image.shape[:2]}")
    out = image
    if prompt.blur:
        out = blur_outside(out, mask, prompt.blur_px)
    if prompt.gray:
        out = gray_outside(out, mask)
    return draw_contour(out, mask, prompt.contour_px) if prompt.contour else out.copy()


def blur_outside(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], sigma_px: float
) -> UInt8[np.ndarray, "H W 3"]:
    """Blur what lies outside of the mask with a Gaussian of `sigma_px`."""
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    return np.where(mask[..., None], image, blurred)


def gray_outside(image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Replace colours outside of the mask by their luma (ITU-R BT.601)."""
    luma = np.rint(image @ LUMA).astype(np.uint8)
    return np.where(mask[..., None], image, luma[..., None])


def draw_contour(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], width_px: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Paint red the pixels outside of the mask that lie within `width_px` of it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    grown = cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
    out = image.copy()
    out[grown & ~mask] = RED
    return out
