"""Frames as nerfstudio's tools want them: the run's views behind its dataparser and data manager."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.datamanagers.full_images_datamanager import FullImageDatamanager, FullImageDatamanagerConfig
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.datasets.base_dataset import InputDataset
from nerfstudio.data.scene_box import SceneBox

from langfield.cache import open_cache
from langfield.capture.types import Camera
from langfield.fit import training_view
from langfield.settings import RunSettings
from langfield.stages import prepare_frames, split_views

OPENCV_TO_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


@dataclass
class LangsplatDataParserConfig(DataParserConfig):
    """Reads any capture langfield reads: transforms.json or COLMAP."""

    _target: type = field(default_factory=lambda: LangsplatDataParser)
    data: Path = Path()
    """Folder of the capture."""
    settings: tyro.conf.Suppress[RunSettings | None] = None
    """Filled in by the pipeline from its own settings."""
    left_out: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Photos that cannot be read and are done without; found by a cluster (--cluster)."""


class ViewDataset(InputDataset):
    """Pictures at training size, already in memory."""

    def get_numpy_image(self, image_idx: int) -> np.ndarray:
        """Give one picture, uint8 [H, W, 3]."""
        return self.metadata["views"][image_idx].image


class LangsplatDataParser(DataParser):
    """Gives the world as it is: no recentring, no rescaling, so that exports keep their frame.

    Args:
        config: where the capture lies, and the run's settings.
    """

    config: LangsplatDataParserConfig

    def __init__(self, config: LangsplatDataParserConfig) -> None:
        super().__init__(config)
        settings = config.settings or RunSettings()
        cache = open_cache(settings.cache_dir, settings.redo)
        self.capture = prepare_frames(Path(config.data), settings, cache, config.left_out)
        self.training, self.held_out = split_views(self.capture.frames, settings.hold_out_every)
        self.training_views = [training_view(f, settings.train_side_px) for f in self.training]
        self.held_out_views = [training_view(f, settings.train_side_px) for f in self.held_out]

    def _generate_dataparser_outputs(self, split: str = "train", **_: Any) -> DataparserOutputs:
        frames, views = self.training, self.training_views
        if split != "train" and self.held_out:  # ns-eval needs a picture: the training views where none is held out
            frames, views = self.held_out, self.held_out_views
        return DataparserOutputs(
            image_filenames=[f.path for f in frames],
            cameras=nerfstudio_cameras([v.camera for v in views]),
            scene_box=SceneBox(aabb=torch.tensor([[-1.0, -1, -1], [1, 1, 1]])),
            metadata={"views": views},
        )


def nerfstudio_cameras(cameras: Sequence[Camera]) -> Cameras:
    """Give our cameras (OpenCV axes) as nerfstudio's (OpenGL axes), float32."""
    poses = torch.stack([(c.T_world_camera.double() @ OPENCV_TO_OPENGL)[:3] for c in cameras])
    K = torch.stack([c.K for c in cameras]).float()
    times = [c.time_s for c in cameras if c.time_s is not None]
    return Cameras(
        camera_to_worlds=poses.float(), fx=K[:, 0, 0:1], fy=K[:, 1, 1:2], cx=K[:, 0, 2:3], cy=K[:, 1, 2:3],
        width=torch.tensor([[c.width] for c in cameras]), height=torch.tensor([[c.height] for c in cameras]),
        camera_type=CameraType.PERSPECTIVE,
        times=torch.tensor(times)[:, None] if times and len(times) == len(cameras) else None,
    )  # fmt: skip


def our_camera(cameras: Cameras) -> Camera:
    """Give one nerfstudio camera as ours.

    Args:
        cameras: a batch of one.
    """
    K = cameras.get_intrinsics_matrices().reshape(3, 3).double().cpu()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3] = cameras.camera_to_worlds.reshape(3, 4).double().cpu()
    time_s = None if cameras.times is None else float(cameras.times.item())
    return Camera(K, int(cameras.width.item()), int(cameras.height.item()), pose @ OPENCV_TO_OPENGL, time_s=time_s)


@dataclass
class LangsplatDataManagerConfig(FullImageDatamanagerConfig):
    """Full pictures, held in memory."""

    _target: type = field(default_factory=lambda: LangsplatDataManager)
    dataparser: LangsplatDataParserConfig = field(default_factory=LangsplatDataParserConfig)  # pyright: ignore
    """Where the capture lies."""
    cache_images_type: Literal["uint8", "float32"] = "float32"
    """How nerfstudio's viewer and eval keep the pictures."""


class LangsplatDataManager(FullImageDatamanager[ViewDataset]):
    """nerfstudio's data manager over our frames; training itself reads `dataparser`."""

    config: LangsplatDataManagerConfig  # pyright: ignore
    dataparser: LangsplatDataParser
