"""Numbers to colours: relevancy on a map that colour-blind people can read, latents as hues, and the legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

NEUTRAL = 0.5
"""Relevancy of what is as near to "object" or "things" as to the question (relevancy's own fixed point)."""
DIM = 0.4
"""Brightness of what lies below the threshold, as a share of its own."""
BARS = 100
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


def layered_colours(
    layers: Sequence[tuple[Float[np.ndarray, " N"], float, float, tuple[int, int, int]]],
    rgb: UInt8[np.ndarray, "N 3"],
) -> UInt8[np.ndarray, "N 3"]:
    """Colour several questions at once: each Gaussian by the one that it exceeds the threshold of most.

    Args:
        layers: per question its scores, threshold, relevancy at full colour, and colour.
        rgb: the Gaussians' own colours; below all thresholds they are dimmed to grey.
    """
    grey = (rgb.astype(np.float32) @ LUMA * DIM)[:, None]
    out, most = np.repeat(grey, 3, axis=1), np.full(len(rgb), -np.inf, dtype=np.float32)
    for scores, threshold, top, colour in layers:
        rise = (scores - threshold) / max(top - threshold, 1e-6)
        won = (scores >= threshold) & (rise > most)
        share = np.clip(0.55 + 0.45 * rise[won], 0, 1)[:, None]
        out[won] = grey[won] * (1 - share) + np.array(colour, dtype=np.float32) * share
        most[won] = rise[won]
    return out.astype(np.uint8)


def spread_colours(values: Float[np.ndarray, " N"]) -> UInt8[np.ndarray, "N 3"]:
    """Give numbers as colours of the same map, near ones bright, from their 2 % to their 98 % quantile."""
    low, high = np.quantile(values[:: len(values) // 20_000 + 1], (0.02, 0.98)) if len(values) else (0.0, 1.0)
    share = 1 - np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    return colour_table()[np.rint(share * 255).astype(np.int64)]


def label_colours(labels: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N 3"]:
    """Give labels as colours that differ in hue and lightness from their neighbours'; -1 is dark grey."""
    turns = labels * 0.6180339887498949 % 1.0
    lightness = 0.55 + 0.4 * (labels % 3) / 2
    hue = turns[:, None] * 6 + np.array([0.0, 4.0, 2.0])
    pure = np.clip(np.abs(hue % 6 - 3) - 1, 0, 1)
    shown = (0.25 + 0.75 * pure) * lightness[:, None]
    return np.where((labels < 0)[:, None], 40, np.rint(shown * 255)).astype(np.uint8)


def latent_colours(codes: Float[Tensor, "N d"], unit: bool = True) -> UInt8[np.ndarray, "N 3"]:
    """Give codes as colours: their three main directions, each stretched from its 2 % to its 98 % quantile.

    Gaussians without a code (all zero) become dark grey.

    Args:
        codes: any width.
        unit: scale each to unit length first.
    """
    flat = codes.detach().float().cpu()
    seen = flat.norm(dim=1) > 1e-6
    out = np.full((len(flat), 3), 40, dtype=np.uint8)
    if seen.sum() < 4:
        return out
    chosen = torch.nn.functional.normalize(flat[seen], dim=1) if unit else flat[seen]
    centred = chosen - chosen.mean(0)
    main = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(1)[:, :3]
    places = torch.nn.functional.pad(centred @ main, (0, 3 - main.shape[1])).numpy()
    low, high = np.quantile(places, (0.02, 0.98), axis=0)
    stretched = np.clip((places - low) / np.maximum(high - low, 1e-6), 0, 1)
    out[seen.numpy()] = np.rint(stretched * 255).astype(np.uint8)
    return out


def histogram_html(scores: Float[np.ndarray, " N"], threshold: float) -> str:
    """Give how many Gaussians have which relevancy, with the threshold's mark, as HTML; counts on a log scale."""
    counts, _ = np.histogram(scores, bins=BARS, range=(0.0, 1.0))
    heights = np.log1p(counts) / max(float(np.log1p(counts.max())), 1e-9) * 40
    bars = "".join(
        f'<rect x="{i * 2}" y="{40 - h:.1f}" width="1.7" height="{h:.1f}" fill="{_bar_colour(i, threshold)}"/>'
        for i, h in enumerate(heights)
        if h > 0
    )
    above = int((scores >= threshold).sum())
    mark = 2 * BARS * threshold
    return (
        '<div style="padding:0 0.9em;font-size:0.75em"><svg role="img" viewBox="0 0 {w} 46" width="100%" '
        'preserveAspectRatio="none" style="height:52px" aria-label="{label}">{bars}'
        '<line x1="{m:.1f}" x2="{m:.1f}" y1="0" y2="46" stroke="#ff5a5a" stroke-width="1"/></svg>'
        '<div style="display:flex;justify-content:space-between"><span>0</span><span>{label}</span><span>1</span></div>'
        "</div>"
    ).format(w=2 * BARS, bars=bars, m=mark, label=f"{above:,} of {len(scores):,} Gaussians at or above {threshold:.3f}")


def _bar_colour(bar: int, threshold: float) -> str:
    return "#8fd3c7" if (bar + 0.5) / BARS >= threshold else "#7a7f87"


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
