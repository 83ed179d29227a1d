"""Gaussians as viser draws them: centres, covariances, opacities, and one colour each."""

from __future__ import annotations

import numpy as np
import torch
import viser
from jaxtyping import Bool, Float, Int64, UInt8, UInt32
from torch import Tensor

from langfield.field.ellipsoids import covariances
from langfield.raster.types import Gaussians

SH_C0 = 0.28209479177387814
"""The spherical harmonic of degree 0."""
PIECE = 1024
"""Gaussians that are sent together, at least: smaller pieces send less, more of them slow the browser."""
MOST_PIECES = 96
WIDEST = 200.0
"""Largest standard deviation sent, so that its square fits half precision (65504)."""


def base_colours(sh: Float[Tensor, "N K 3"]) -> UInt8[np.ndarray, "N 3"]:
    """Give the colour of degree 0 (viser's splats have one colour from every side)."""
    rgb = (sh[:, 0].detach().float().cpu() * SH_C0 + 0.5).nan_to_num(0.5).clamp(0, 1)
    return (rgb * 255).round().to(torch.uint8).numpy()


def unit_for_half_precision(scales: Float[Tensor, "N 3"]) -> float:
    """Give the length to send the scene in units of, so that its variances are neither 0 nor infinite as float16.

    viser sends covariances in half precision: a Gaussian of 0.2 mm in metres would have the variance 4e-8, which is 0.
    """
    largest = scales.amax(dim=1)
    usual, most = float(largest.median()), float(largest.max())
    return max(usual, most / WIDEST, 1e-12)


def along_a_curve(points: Float[np.ndarray, "N 3"]) -> Int64[np.ndarray, " N"]:
    """Give an order in which points that follow each other lie close together (Morton's curve, 10 bits an axis)."""
    if not len(points):
        return np.zeros(0, np.int64)
    low, high = np.quantile(points, (0.01, 0.99), axis=0)
    cells = np.clip((points - low) / np.maximum(high - low, 1e-12) * 1023, 0, 1023).astype(np.int64)
    for shift, keep in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | (cells << shift)) & keep
    return np.argsort(cells[:, 0] | (cells[:, 1] << 1) | (cells[:, 2] << 2), kind="stable")


def packed(spread: Float[Tensor, "N 3 3"]) -> UInt32[np.ndarray, "N 3"]:
    """Give the upper triangles of covariances as viser sends them: six numbers of half precision."""
    upper = spread.flatten(1)[:, [0, 1, 2, 4, 5, 8]].numpy()
    return np.ascontiguousarray(upper, dtype=np.float16).view(np.uint32)


class SplatScene:
    """The Gaussians of a page in pieces that lie close together; only pieces that changed are sent again.

    Args:
        server: where they are shown.
        gaussians: the field's.
        name: of the node that holds them.
    """

    def __init__(self, server: viser.ViserServer, gaussians: Gaussians, name: str = "/splats") -> None:
        g = gaussians.detach()
        scales = g.log_scales.float().cpu().exp()
        unit = unit_for_half_precision(scales)
        self.rgb = base_colours(g.sh)
        """The Gaussians' own colours, uint8 [N, 3]."""
        self.sent_bytes = 0
        """Bytes of Gaussians handed over to be sent, to each page, since the start."""
        self._server, self._unit, self._name = server, unit, name
        self._means = (g.means.float().cpu() / unit).numpy()
        self._opacity = (torch.sigmoid(g.logit_opacities.float().cpu()) * 255).to(torch.uint8).numpy()
        order = along_a_curve(g.means.float().cpu().nan_to_num(0.0).numpy())
        self._pieces = np.array_split(order, int(np.clip(len(order) // PIECE, 1, MOST_PIECES)))
        self._at, spread = self._means, covariances(g.quats.float().cpu(), scales / unit)
        self._form = self._formed = packed(spread)
        self._colours = _rgba(self.rgb, self._opacity)
        self._handles = [
            server.scene.add_gaussian_splats(
                f"{name}/{i}", centers=self._means[piece], covariances=spread.numpy()[piece], rgbs=self.rgb[piece],
                opacities=self._opacity[piece, None], scale=unit,
            )
            for i, piece in enumerate(self._pieces)
        ]  # fmt: skip

    def become(self, gaussians: Gaussians) -> None:
        """Take the same Gaussians as they are at another time; `paint` shows them.

        Args:
            gaussians: row by row the same ones.
        """
        g = gaussians.detach()
        self.rgb = base_colours(g.sh)
        self._means = (g.means.float().cpu() / self._unit).numpy()
        self._opacity = (torch.sigmoid(g.logit_opacities.float().cpu()) * 255).to(torch.uint8).numpy()
        self._form = packed(covariances(g.quats.float().cpu(), g.log_scales.float().cpu().exp() / self._unit))

    def paint(
        self,
        rgb: UInt8[np.ndarray, "N 3"],
        gone: Bool[np.ndarray, " N"] | None = None,
        offsets: Float[np.ndarray, "N 3"] | None = None,
    ) -> int:
        """Give every Gaussian a colour, leave some out, move some; gives the bytes that had to be sent to each page.

        Args:
            rgb: a colour each.
            gone: those that are not shown.
            offsets: how far each is moved, world units.
        """
        opacity = self._opacity if gone is None else np.where(gone, 0, self._opacity).astype(np.uint8)
        colours = _rgba(rgb, opacity)
        at = self._means if offsets is None else (self._means + offsets / self._unit).astype(np.float32)
        changed = colours != self._colours
        if at is not self._at:
            changed |= (at != self._at).any(axis=1)
        if self._form is not self._formed:
            changed |= (self._form != self._formed).any(axis=1)
        self._colours, self._at, self._formed = colours, at, self._form
        sent = 0
        with self._server.atomic():
            for piece, handle in zip(self._pieces, self._handles, strict=True):
                if changed[piece].any():
                    buffer = handle.buffer.copy()
                    buffer[:, :3] = np.ascontiguousarray(at[piece]).view(np.uint32)
                    buffer[:, 4:7] = self._form[piece]
                    buffer[:, 7] = colours[piece]
                    handle.buffer = buffer
                    sent += buffer.nbytes
        self._server.flush()
        self.sent_bytes += sent
        return sent

    @property
    def shown(self) -> UInt8[np.ndarray, "N 3"]:
        """The colours on the page now."""
        return self._colours.view(np.uint8).reshape(-1, 4)[:, :3].copy()

    @property
    def visible(self) -> Bool[np.ndarray, " N"]:
        """Which Gaussians are on the page now."""
        return (self._colours.view(np.uint8).reshape(-1, 4)[:, 3] > 0) | (self._opacity == 0)

    def remove(self) -> None:
        """Take them off the page, all at once: a page puts its pieces together anew for every one that goes."""
        self._server.scene.remove_by_name(self._name)


def _rgba(rgb: UInt8[np.ndarray, "N 3"], opacity: UInt8[np.ndarray, " N"]) -> UInt32[np.ndarray, " N"]:
    return np.concatenate([rgb, opacity[:, None]], axis=1).view(np.uint32)[:, 0]
