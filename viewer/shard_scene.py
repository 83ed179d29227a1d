"""Shards on a page: each page has the levels of detail that its own camera needs, and gets better while it rests."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import viser
from jaxtyping import UInt8, UInt32

from langfield.field.ellipsoids import covariances
from langfield.field.lod_choice import Eye, boxes_of, choose_levels, distances
from langfield.field.shards import Shards
from langfield.viewer.painting import selected_colours
from langfield.viewer.shard_picking import Picked
from langfield.viewer.splats import WIDEST, base_colours, packed

NAMES = ("means", "quats", "log_scales", "logit_opacities", "sh")
KEPT_BYTES = 256 * 2**20
"""Gaussians ready to be sent that are kept for the next time."""
AT_ONCE_BYTES = 2**20
"""A browser puts all shards together anew for every message: so much is sent in one."""
ENOUGH = 0.25
"""A stand-in of which this share is selected looks as if it all were: a small thing must be seen from afar, too."""
MOST_PX = 2000
"""Pages higher than this are treated as if they had so many pixels."""
Paint = Callable[[int, int, UInt8[np.ndarray, "n 3"]], UInt8[np.ndarray, "n 3"]]
"""Gives the colours of a shard at a level, from its own."""


@dataclass(frozen=True)
class Shown:
    """What stands on a page for a shard."""

    level: int
    look: int
    """Number of the colours it has."""
    handle: viser.GaussianSplatHandle


def eye_of_page(camera: viser.CameraHandle) -> Eye:
    """Give a page's camera as an eye."""
    w, x, y, z = (float(v) for v in camera.wxyz)
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    half = float(np.tan(camera.fov / 2))
    wide = half * float(camera.aspect)
    return Eye(
        np.asarray(camera.position, float),
        turn.T,
        (-wide, wide, -half, half),
        min(camera.image_height, MOST_PX) / 2 / half,
    )


class ShardScene:
    """The Gaussians of all pages.

    Args:
        shards: opened.
        usual: how wide Gaussians usually are, world units.
    """

    def __init__(self, shards: Shards, usual: float) -> None:
        self._shards, self._boxes = shards, boxes_of(shards.index)
        widest = float(np.linalg.norm(self._boxes[:, 1] - self._boxes[:, 0], axis=1).max()) / 6
        self.unit = max(usual, widest / WIDEST, 1e-12)
        """The length that is sent as one: variances are sent in half precision."""
        self._ready: OrderedDict[tuple[int, int], UInt32[np.ndarray, "n 8"]] = OrderedDict()
        self._pages: dict[int, dict[int, Shown]] = {}
        self._paint: Paint | None = None
        self._picked = Picked(shards)
        self._looks = [0] * len(shards)
        """How often the colours of each shard have changed."""
        self._choosing = threading.Lock()
        self.sent_bytes = 0
        """Bytes of Gaussians handed over to be sent, all pages together."""

    def paint(self, paint: Paint | None) -> None:
        """Choose what colours mean from now on; None for the Gaussians' own."""
        with self._choosing:
            self._paint = paint
            self._looks = [look + 1 for look in self._looks]

    def pick(self, picked: Picked) -> None:
        """Choose what is shown as selected from now on, over whatever colours there are."""
        with self._choosing:
            changed, self._picked = self._picked.shards | picked.shards, picked
            self._looks = [look + (number in changed) for number, look in enumerate(self._looks)]

    def wanted(self, eye: Eye, budget: int) -> dict[int, int]:
        """Give the level that each shard should have: in sight within the budget, out of sight the coarsest.

        What is out of sight costs a browser next to nothing, and would leave little of a small budget.
        """
        coarse = {i: len(shard.levels) - 1 for i, shard in enumerate(self._shards.index.shards)}
        return coarse | choose_levels(self._shards.index, [eye], budget)

    def counts(self, page: int) -> tuple[int, int]:
        """Give how many Gaussians a page shows, and how many shards at full detail."""
        shown = self._pages.get(page, {})
        many = sum(self._shards.index.shards[i].levels[s.level].count for i, s in list(shown.items()))
        return many, sum(s.level == 0 for s in list(shown.values()))

    def shards_on(self, page: int) -> int:
        """Give how many shards a page has anything of."""
        return len(self._pages.get(page, {}))

    def refine(self, page: viser.ClientHandle, eye: Eye, budget: int, moved: Callable[[], bool]) -> bool:
        """Bring a page to what its camera needs, what takes room away first, then near to far.

        Args:
            page: to be changed.
            eye: its camera.
            budget: Gaussians in sight, about.
            moved: asked between shards; the rest waits for the camera to come to rest again.

        Returns:
            Whether all was done.
        """
        shown = self._pages.setdefault(page.client_id, {})
        wanted, away = self.wanted(eye, budget), distances(self._boxes, eye.position)
        first = not shown
        steps = [
            i
            for i, level in wanted.items()
            if first or i not in shown or (shown[i].level, shown[i].look) != (level, self._looks[i])
        ]
        if first:  # something of everything at once
            for i in steps:
                self._put(page, shown, i, len(self._shards.index.shards[i].levels) - 1)
            page.flush()
        steps.sort(key=lambda i: (i in shown and wanted[i] <= shown[i].level, away[i]))
        sent = self.sent_bytes
        for i in steps:
            if moved():
                return False
            self._put(page, shown, i, wanted[i])
            if self.sent_bytes - sent > AT_ONCE_BYTES:
                page.flush()
                sent = self.sent_bytes
        page.flush()
        return True

    def _put(self, page: viser.ClientHandle, shown: dict[int, Shown], number: int, level: int) -> None:
        now = shown.get(number)
        if now is not None and (now.level, now.look) == (level, self._looks[number]):
            return
        look, buffer = self._looks[number], self._coloured(number, level)
        if now is None:
            one = np.zeros((1, 3)), np.zeros((1, 3, 3)), np.zeros((1, 3), np.uint8), np.zeros((1, 1))
            handle = page.scene.add_gaussian_splats(f"/shards/{number}", *one, scale=self.unit)
        else:
            handle = now.handle
        handle.buffer = buffer
        shown[number] = Shown(level, look, handle)
        self.sent_bytes += buffer.nbytes

    def _coloured(self, number: int, level: int) -> UInt32[np.ndarray, "n 8"]:
        own, paint, picked = self._buffer(number, level), self._paint, self._picked
        if paint is None and number not in picked.shards:
            return own
        buffer = own.copy()
        rgba = buffer[:, 7:].view(np.uint8)
        rgb = rgba[:, :3].copy()
        rgb = rgb if paint is None else paint(number, level, rgb)
        if number in picked.shards:
            rgb = selected_colours(rgb, np.minimum(picked.share(number, level) / ENOUGH, 1))
        rgba[:, :3] = rgb
        return buffer

    def _buffer(self, number: int, level: int) -> UInt32[np.ndarray, "n 8"]:
        """Give a shard as viser sends it: centre, nothing, covariance, colour and opacity."""
        key = (number, level)
        if key not in self._ready:
            self._ready[key] = buffer_of(self._shards, number, level, self.unit)
            while sum(b.nbytes for b in self._ready.values()) > KEPT_BYTES and len(self._ready) > 1:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return self._ready[key]

    def forget(self, page: int) -> None:
        """Forget a page that has gone."""
        self._pages.pop(page, None)


def buffer_of(shards: Shards, number: int, level: int, unit: float) -> UInt32[np.ndarray, "n 8"]:
    """Give the Gaussians of a shard at a level in viser's layout, 32 bytes each; lengths are counted in `unit`."""
    found = shards.tensors(number, level, NAMES)
    means, quats, log_scales, logits, sh = (found[name].float() for name in NAMES)
    out = np.zeros((len(means), 8), np.uint32)
    out[:, :3] = np.ascontiguousarray((means.nan_to_num() / unit).numpy(), np.float32).view(np.uint32)
    out[:, 4:7] = packed(covariances(quats, log_scales.exp() / unit).nan_to_num().clamp(-6e4, 6e4))
    rgba = out[:, 7:].view(np.uint8)
    rgba[:, :3], rgba[:, 3] = base_colours(sh), (torch.sigmoid(logits).nan_to_num() * 255).to(torch.uint8).numpy()
    return out


def usual_width(shards: Shards) -> float:
    """Give the median of the largest standard deviation of the first shards' Gaussians, world units."""
    widths = [
        shards.tensors(i, 0, ["log_scales"])["log_scales"].float().amax(dim=1) for i in range(min(4, len(shards)))
    ]
    return float(torch.cat(widths).median().exp())
