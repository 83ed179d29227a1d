"""Runs `ns-train langsplat` in this process on the tiny scene, as its entry point does after parsing."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

from langfield.codec import AutoencoderSettings
from langfield.field.language import LanguageSettings
from langfield.field.photometric import PhotometricSettings
from langfield.segment.types import SegmentSettings
from langfield.settings import RunSettings

ENCODER = "tests.tiny:ColourEncoder"
SETTINGS = RunSettings(
    segmenter="components",
    image_encoder=ENCODER,
    text_encoder=ENCODER,
    hold_out_every=6,
    segment=SegmentSettings(min_area_px=12),
    codec=AutoencoderSettings(epochs=150),
    photometric=PhotometricSettings(steps=60, densify_every=20, max_gaussians=3000),
    language=LanguageSettings(mode="fit", steps=24, gather_steps=12),
)


def tiny_config(data: Path, out: Path, **changes: Any) -> Any:
    """Give the method's config for the tiny scene; `changes` replace settings of the run."""
    from langfield.plugin.config import langsplat, langsplat_4d

    config = copy.deepcopy((langsplat_4d if changes.get("motion") else langsplat).config)
    config.data = config.pipeline.datamanager.data = data
    config.output_dir = out / "outputs"
    config.steps_per_save = 10
    config.machine.device_type = "cpu"
    settings = dataclasses.replace(SETTINGS, cache_dir=out / "cache", **changes)
    config.pipeline.settings = settings  # pyright: ignore
    return config


def train(config: Any) -> Path:
    """Do what ns-train does after parsing, and give the run's folder."""
    from nerfstudio.scripts.train import train_loop

    config.set_timestamp()
    config.save_config()
    train_loop(0, 1, config)
    return config.get_base_dir()
