"""Numbers to colours: relevancy on a map that colour-blind people can read, latents as hues, and the legend."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

NEUTRAL = 0.5
"""Relevancy of what is as near to "object" or "things" as to the question (relevancy's own fixed point)."""
DIM = 0.4
"""Brightness of what lies below the threshold, as a share of its own."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def colour_table() -> UInt8[np.ndarray, "256 3"]:
    """Give viridis, which rises evenly in lightness and reads the same with the common colour blindnesses."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    return np.ascontiguousarray(cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1])


def relevancy_colours(
    scores: Float[np.ndarray, " N"], threshold: float, top: float, rgb: UInt8[np.ndarray, "N 3"]
) -> UInt8[np.ndarray, "N 3"]:
    """Colour what is relevant and dim the rest to grey, so that the place of a hit in the scene stays visible.

    Args:
        scores: relevancies, 0 to 1.
        threshold: relevancies at or above it are coloured.
        top: relevancy at the bright end of the map; its dark end is 0.5.
        rgb: the Gaussians' own colours.
    """
    span = max(top - NEUTRAL, 1e-6)
    steps = np.clip(np.rint((scores - NEUTRAL) / span * 255), 0, 255).astype(np.int64)
    grey = (rgb.astype(np.float32) @ LUMA * DIM).astype(np.uint8)
    return np.where((scores >= threshold)[:, None], colour_table()[steps], grey[:, None])


def latent_colours(codes: Float[Tensor, "N d"]) -> UInt8[np.ndarray, "N 3"]:
    """Give codes as colours: their three main directions, each stretched from its 2 % to its 98 % quantile.

    Gaussians without a code (all zero) become dark grey.
    """
    flat = codes.detach().float().cpu()
    seen = flat.norm(dim=1) > 1e-6
    out = np.full((len(flat), 3), 40, dtype=np.uint8)
    if seen.sum() < 4:
        return out
    unit = torch.nn.functional.normalize(flat[seen], dim=1)
    centred = unit - unit.mean(0)
    main = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :3]
    places = torch.nn.functional.pad(centred @ main, (0, 3 - main.shape[1])).numpy()
    low, high = np.quantile(places, (0.02, 0.98), axis=0)
    stretched = np.clip((places - low) / np.maximum(high - low, 1e-6), 0, 1)
    out[seen.numpy()] = np.rint(stretched * 255).astype(np.uint8)
    return out


def legend_html(threshold: float, top: float) -> str:
    """Give the colour bar with its numbers and what they mean, as HTML."""
    stops = ",".join(f"rgb({r},{g},{b})" for r, g, b in colour_table()[::15])
    share = 100 * min(max((threshold - NEUTRAL) / max(top - NEUTRAL, 1e-6), 0), 1)
    return (
        '<div style="font-size:0.8em;padding:0.2em 0.9em 0.4em">'
        f'<div style="position:relative;height:12px;background:linear-gradient(to right,{stops})">'
        f'<div style="position:absolute;left:calc({share:.1f}% - 1px);top:-3px;width:2px;height:18px;'
        'background:#d33"></div></div>'
        f'<div style="display:flex;justify-content:space-between"><span>{NEUTRAL:.2f}</span>'
        f"<span>relevancy</span><span>{top:.2f}</span></div>"
        "<div>0.50 = no nearer to the words than to “object” or “things”: irrelevant. "
        f"Grey: below the threshold ({threshold:.2f}, red mark).</div></div>"
    )
