"""The language map of Online Language Splatting: codes that are drawn, compared with the keyframes' and descended on.

See `langfield.online.language.LanguageMap`. Nothing here is exact or reversible: a keyframe that is dropped is no
longer learned from, but what it taught stays. Its codes are of one level.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.artefacts import plain
from langfield.capture.types import Camera
from langfield.codec.two_stage import WIDTH, StageOne, TwoStage
from langfield.codec.two_stage_fit import OnlineStage
from langfield.errors import FormatError, SettingsError
from langfield.online.language import LanguageParts
from langfield.online.paper.losses import apart, code_loss, draw_codes, scale_tie, without_pose_gradient
from langfield.online.paper.rows import LanguageRows
from langfield.online.paper.settings import PaperSettings, check_paper_settings
from langfield.online.types import Keyframe, MapChange
from langfield.raster import Gaussians
from langfield.raster.threads import kernels_only
from langfield.segment.types import Segments


@dataclass(frozen=True)
class Held:
    """A keyframe as language keeps it."""

    camera: Camera
    """Of the codes' size."""
    middle: Float[Tensor, "h w 32"]
    """What the first autoencoder made of its features, float16."""
    codes: Float[Tensor, "h w 15"]
    """What the second made of that when the keyframe came, float16."""
    valid: Bool[Tensor, "h w"]
    """Where there is a feature."""


class OnlineLangSplat:
    """LanguageMap of the named mode `online-langsplat`.

    Args:
        stage_one: the first autoencoder (`langfield.codec.stage_one.load`).
        settings: how it learns.

    Raises:
        SettingsError: a setting lies out of range.
    """

    def __init__(self, stage_one: StageOne, settings: PaperSettings | None = None) -> None:
        self.settings = settings = settings or PaperSettings()
        check_paper_settings(settings)
        self._one = stage_one.eval().requires_grad_(False)
        self.dim = stage_one.dim
        self._two = OnlineStage(settings.stage_two)
        self._rows = LanguageRows(WIDTH, settings.rates())
        self._held: dict[int, Held] = {}
        self._ahead = 0
        self.loss = 0.0
        """Of the last step, language's part alone."""

    @property
    def held(self) -> tuple[int, ...]:
        """Ids of the keyframes that are learned from, rising."""
        return tuple(sorted(self._held))

    def reindex(self, change: MapChange) -> None:
        """Follow the rows of the Gaussians; to be called for every change, in order."""
        early = min(self._ahead, change.added)  # rows that `extra_loss` met before it was told of them
        if early:
            kept = torch.cat([change.kept, torch.arange(len(self._rows) - self._ahead, len(self._rows))])
            change = MapChange(kept, change.added - early)
        self._ahead -= early
        self._rows.reindex(change)

    def add(
        self, keyframe: Keyframe, gaussians: Gaussians, segments: Segments, vectors: Float[Tensor, "M D"]
    ) -> tuple[int, ...]:
        """Take in a keyframe whose features are known per segment: each pixel has that of its coarsest one.

        Raises:
            FormatError: segments and vectors do not fit each other, or vectors the first autoencoder.
        """
        ids = torch.from_numpy(segments.ids.astype(np.int64))
        if len(vectors) != len(segments.levels) or (ids.numel() and int(ids.max()) >= len(vectors)):
            raise FormatError(f"{len(vectors)} vectors do not fit {len(segments.levels)} segments", keyframe.id)
        top = torch.full_like(ids[0], -1)
        for level in ids:
            top = torch.where(level >= 0, level, top)
        padded = torch.cat([vectors.float(), vectors.new_zeros(1, vectors.shape[1]).float()])
        return self.add_dense(keyframe, gaussians, padded[top])

    def add_dense(self, keyframe: Keyframe, gaussians: Gaussians, features: Float[Tensor, "h w D"]) -> tuple[int, ...]:
        """Take in a new keyframe: the second autoencoder learns it, then its codes are learned.

        Args:
            keyframe: with an id above all before it.
            gaussians: the map as it is now.
            features: unit vectors of the same view at any size; zeros where there is none.

        Raises:
            SettingsError: the id does not rise.
            FormatError: features of another width than the first autoencoder's, or not finite.
        """
        self.note(keyframe, features)
        self._rows.settle(gaussians)
        if self.settings.variant == "disentangled":
            self._learn(keyframe.id, gaussians, self.settings.steps)
        return ()

    def note(self, keyframe: Keyframe, features: Float[Tensor, "h w D"]) -> None:
        """Make a keyframe's codes without learning them; variant joint does that while the map learns.

        Raises:
            SettingsError: the id does not rise.
            FormatError: features of another width than the first autoencoder's, or not finite.
        """
        if self._held and keyframe.id <= max(self._held):
            raise SettingsError(f"keyframe {keyframe.id} comes after {max(self._held)}", remedy="give rising ids")
        if features.ndim != 3 or features.shape[2] != self.dim or not bool(features.isfinite().all()):
            raise FormatError(f"features are not finite numbers [h, w, {self.dim}]", f"{tuple(features.shape)}")
        valid = (features != 0).any(dim=-1)
        with torch.no_grad():
            middle = self._one.encode(features)
        self._two.learn(keyframe.id, middle[valid])
        with torch.no_grad():
            codes = self._two.stage.encode(middle) * valid[..., None]
        height, width = valid.shape
        camera = without_pose_gradient(keyframe.camera).resized(width, height)
        self._held[keyframe.id] = Held(camera, middle.half(), codes.half(), valid)

    def extra_loss(self, gaussians: Gaussians, camera: Camera, keyframe_id: int) -> Float[Tensor, ""]:
        """Give what language adds to the mapping loss of one step in variant joint; zero in the other.

        Gradients flow to the Gaussians and to the camera's pose; the codes take their own step here. Rows that the
        map has added but not told of yet are met here.
        """
        held = self._held.get(keyframe_id)
        if self.settings.variant != "joint" or held is None:
            return gaussians.means.new_zeros(())
        new = len(gaussians) - len(self._rows)
        if new > 0:
            self._rows.reindex(MapChange(torch.arange(len(self._rows)), new))
            self._ahead += new
        codes = self._rows.values["codes"].clone().requires_grad_()
        wanted = self._wanted(held)
        view = camera.resized(wanted.shape[1], wanted.shape[0])
        loss = code_loss(draw_codes(gaussians, view, codes), wanted, held.valid)
        self.loss = float(loss.detach())
        (by_codes,) = torch.autograd.grad(loss, codes, retain_graph=True)
        self._rows.learn({"codes": by_codes})
        return self.settings.joint_weight * loss

    def renew(self, keyframe: Keyframe, gaussians: Gaussians) -> None:
        """Learn a held keyframe again from its present pose."""
        held = self._held[keyframe.id]
        height, width = held.valid.shape
        camera = without_pose_gradient(keyframe.camera).resized(width, height)
        self._held[keyframe.id] = replace(held, camera=camera)
        self._rows.settle(gaussians)
        if self.settings.variant == "disentangled":
            self._learn(keyframe.id, gaussians, self.settings.steps // 4)

    def drop(self, keyframe_id: int) -> None:
        """Learn no more from a keyframe; what it has taught stays."""
        self._held.pop(keyframe_id, None)
        self._two.forget(keyframe_id)

    def stale(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> list[int]:  # noqa: ARG002
        """Name the held keyframes whose pose has moved since they were learned, farthest first."""
        moved = {}
        for keyframe in keyframes:
            if keyframe.id in self._held:
                old = self._held[keyframe.id].camera.T_world_camera
                moved[keyframe.id] = float((old - keyframe.camera.T_world_camera.detach()).abs().max())
        return sorted((i for i, far in moved.items() if far > 0), key=lambda i: (-moved[i], i))

    def freshen(self, gaussians: Gaussians, keyframes: Sequence[Keyframe], budget_s: float) -> list[int]:
        """Renew stale keyframes until the time is used up, and give their ids."""
        by_id, until, done = {k.id: k for k in keyframes}, time.monotonic() + budget_s, []
        for keyframe_id in self.stale(gaussians, keyframes):
            if time.monotonic() >= until:
                break
            self.renew(by_id[keyframe_id], gaussians)
            done.append(keyframe_id)
        return done

    def parts(self, n: int) -> LanguageParts:
        """Give codes [1, N, 15], the codec that reads them now, and language's own shape.

        Raises:
            FormatError: n is not the number of rows the map knows of.
        """
        if n != len(self._rows):
            raise FormatError(f"the map has {n} rows, language knows {len(self._rows)}", "language map")
        length = self._rows.values["codes"].norm(dim=1, keepdim=True)
        codes = torch.where(length > 0, self._rows.values["codes"] / length.clamp_min(1e-12), 0.0)[None]
        shape = None if self.settings.variant == "joint" else self._rows.shape
        known = (codes != 0).any(dim=-1).float()
        return LanguageParts(codes, self.codec(), known, None, torch.zeros(0, dtype=torch.int64), (), shape)

    def codec(self) -> TwoStage:
        """Give both autoencoders as they are now."""
        return TwoStage(self._one, self._two.frozen(), self.dim, {})

    def finish(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> LanguageParts:
        """Renew what has moved and give the final map."""
        self.freshen(gaussians, keyframes, float("inf"))
        self._rows.settle(gaussians)
        return self.parts(len(gaussians))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a later process needs; tensors of keyframes are the same objects while they stay the same."""
        tensors = {f"rows.{name}": t for name, t in self._rows.state().items()}
        tensors |= {f"two.{name}": t for name, t in self._two.state().items()}
        for i, held in self._held.items():
            camera = {"K": held.camera.K, "T_world_camera": held.camera.T_world_camera}
            parts = {"middle": held.middle, "codes": held.codes, "valid": held.valid, **camera}
            tensors |= {f"keyframe.{i}.{name}": t for name, t in parts.items()}
        return tensors, {"kind": "online-langsplat", "settings": plain(self.settings), "dim": self.dim}

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            FormatError: tensors are missing or do not fit each other, or other settings made them.
        """
        if about.get("kind") != "online-langsplat" or about.get("settings") != plain(self.settings):
            raise FormatError("saved language map was made with other settings", None, "start the map afresh")
        self._rows.load_state(_below("rows.", tensors))
        self._two.load_state(_below("two.", tensors))
        keyframes = _below("keyframe.", tensors)
        ids = {name.partition(".")[0] for name in keyframes}
        if not all(i.isdigit() for i in ids):
            raise FormatError("saved keyframes have no numbers", ", ".join(sorted(ids))[:80], "start the map afresh")
        self._held = {int(i): _held(_below(f"{i}.", keyframes)) for i in sorted(ids, key=int)}
        self._ahead = 0

    def _wanted(self, held: Held) -> Float[Tensor, "h w 15"]:
        if self.settings.stale_codes:
            return held.codes.float()
        with torch.no_grad():
            return self._two.stage.encode(held.middle.float()) * held.valid[..., None]

    def _learn(self, keyframe_id: int, gaussians: Gaussians, steps: int) -> None:
        """Take steps on a keyframe and, in turn with it, on random others."""
        others = [i for i in self.held if i != keyframe_id]
        rng = np.random.default_rng((self.settings.seed, keyframe_id))
        with kernels_only():
            for step in range(steps):
                other = step % 2 == 1 and bool(others)
                self._step(gaussians, self._held[int(rng.choice(others)) if other else keyframe_id])

    def _step(self, gaussians: Gaussians, held: Held) -> None:
        leaves = self._rows.leaves()
        own = replace(self._rows.shape, **{n: t for n, t in leaves.items() if n in ("quats", "log_scales")})
        own = replace(own, logit_opacities=leaves["logit_opacities"][:, 0])
        drawn = draw_codes(apart(gaussians, own), held.camera, leaves["codes"])
        loss = code_loss(drawn, self._wanted(held), held.valid)
        self.loss = float(loss.detach())
        (loss + self.settings.tie * scale_tie(own.log_scales, gaussians.log_scales)).backward()
        self._rows.learn({name: t.grad for name, t in leaves.items()})


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _held(tensors: Mapping[str, Tensor]) -> Held:
    wanted = {"middle": 32, "codes": WIDTH, "valid": None, "K": 3, "T_world_camera": 4}
    if set(tensors) != set(wanted):
        raise FormatError("a saved keyframe lacks tensors", ", ".join(sorted(tensors))[:80], "start the map afresh")
    height, width = tensors["valid"].shape if tensors["valid"].ndim == 2 else (-1, -1)
    sizes = {"middle": (height, width, 32), "codes": (height, width, WIDTH), "K": (3, 3), "T_world_camera": (4, 4)}
    for name, size in sizes.items():
        if tensors[name].shape != size or not bool(tensors[name].isfinite().all()):
            raise FormatError(f"saved {name} of a keyframe is not finite of shape {size}", name, "start the map afresh")
    camera = Camera(tensors["K"], width, height, tensors["T_world_camera"])
    return Held(camera, tensors["middle"], tensors["codes"], tensors["valid"].bool())
