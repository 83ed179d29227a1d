"""The field as a nerfstudio model: it draws and it is saved; training steps come from `langfield.fit`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.models.base_model import Model, ModelConfig
from torch import Tensor

from langfield.field.deform import Deformation, deform, load_deformation
from langfield.field.photometric import psnr
from langfield.fit import FieldFit
from langfield.plugin.datamanager import our_camera
from langfield.raster import rasterize
from langfield.raster.types import Gaussians


@dataclass
class LangsplatModelConfig(ModelConfig):
    """Nothing to set: the run's settings are the pipeline's (--pipeline.settings...)."""

    _target: type = field(default_factory=lambda: LangsplatModel)
    enable_collider: bool = False
    """Rays are not used."""


class LangsplatModel(Model):
    """Draws colour, depth and latents of a field for nerfstudio's trainer, viewer, eval and render."""

    config: LangsplatModelConfig

    def populate_modules(self) -> None:
        """Start without Gaussians: they come with `attach` or with a checkpoint."""
        super().populate_modules()
        self.fit: FieldFit | None = None
        self._loaded: dict[str, Any] = {}

    def attach(self, fit: FieldFit) -> None:
        """Let the model show and save what `fit` trains."""
        self.fit = fit

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now."""
        return self.fit.gaussians if self.fit else Gaussians(**self._loaded["gaussians"])

    @property
    def deformation(self) -> Deformation | None:
        """How the Gaussians differ at each time as it is now, None where nothing moves."""
        if self.fit:
            return self.fit.deformation
        saved = self._loaded.get("deformation")
        return load_deformation(saved, self.gaussians.sh.shape[1]) if saved else None

    @property
    def codes(self) -> Tensor | None:
        """Codes [L, N, d] as they are now, None before the language stage."""
        return self.fit.codes if self.fit else self._loaded["codes"].get("codes")

    def get_extra_state(self) -> dict[str, Any]:
        """Give Gaussians, codes and all that a resume needs: tensors and plain numbers only."""
        if self.fit is None:
            return self._loaded
        codes = self.codes
        return {
            "gaussians": vars(self.gaussians),
            "codes": {} if codes is None else {"codes": codes},
            "deformation": self.deformation.tensors() if self.deformation else {},
            "fit": self.fit.state(),
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what `get_extra_state` gave."""
        self._loaded = state
        if self.fit is not None:
            self.fit.load_state(state["fit"])

    def get_param_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """Give none: the fit holds its own optimizers, the same for every loop that trains a field."""
        return {}

    def get_outputs(self, ray_bundle: Any) -> dict[str, Any]:
        """Draw a camera (nerfstudio passes one where ray-based models get rays)."""
        return self.get_outputs_for_camera(ray_bundle)

    @torch.no_grad()
    def get_outputs_for_camera(self, camera: Cameras, obb_box: Any = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Draw one camera: rgb, depth, accumulation, and the latents of each level as colours."""
        codes = self.codes
        if codes is not None:  # codes of words are no colours; of wide ones the first three numbers are
            codes = codes[..., :3].to(self.gaussians.means) if codes.is_floating_point() else None
        flat = None if codes is None else codes.permute(1, 0, 2).flatten(1)
        ours = our_camera(camera)
        view = rasterize(deform(self.gaussians, self.deformation, ours.time_s), ours, flat)
        if view.colour is None:
            raise RuntimeError("the rasterizer gave no colour")
        alpha = view.alpha[..., None]
        outputs = {
            "rgb": view.colour.clamp(0, 1),
            "accumulation": alpha,
            "depth": view.depth[..., None] / alpha.clamp(min=1e-6),
        }
        if view.channels is not None and codes is not None:
            latents = view.channels.unflatten(-1, (codes.shape[0], codes.shape[2]))
            for level, name in enumerate(("subpart", "part", "whole")):
                outputs[f"language_{name}"] = (latents[..., level, :3] * 0.5 + 0.5).clamp(0, 1)
        return outputs

    def get_loss_dict(self, outputs: Any, batch: Any, metrics_dict: Any = None) -> dict[str, Tensor]:  # noqa: ARG002
        """Give the photometric error nerfstudio's eval loop shows; training has its loss in the fit."""
        return {"rgb_l1": (outputs["rgb"] - _picture(batch, outputs["rgb"])).abs().mean()}

    def get_image_metrics_and_images(self, outputs: Any, batch: Any) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Give PSNR and SSIM of a drawn picture, and it beside the photo."""
        from torchmetrics.functional.image import structural_similarity_index_measure as ssim

        truth, drawn = _picture(batch, outputs["rgb"]), outputs["rgb"]
        similar = ssim(drawn.permute(2, 0, 1)[None], truth.permute(2, 0, 1)[None], data_range=1.0)
        metrics = {"psnr": float(psnr(drawn, truth)), "ssim": float(similar)}  # pyright: ignore
        return metrics, {"img": torch.cat([truth, drawn], dim=1)}


def _picture(batch: Any, like: Tensor) -> Tensor:
    image = batch["image"].to(like)
    return image[..., :3] / 255 if batch["image"].dtype == torch.uint8 else image[..., :3]
