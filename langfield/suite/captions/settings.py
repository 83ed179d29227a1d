"""What a run is told about captions: who gives them, how they are asked for, and what becomes of their words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from langfield.errors import SettingsError
from langfield.suite.captions.plan import PlanSettings

BESIDE = "captions.json"
"""File in a capture's folder that holds captions of it."""


@dataclass(frozen=True)
class CaptionSettings:
    """How things get words for the states they are in."""

    source: str = "auto"
    """Who says it: file:CAPTIONS.json (captions that are there), recorded:FILE.jsonl (a model's replies),
    endpoint:SETTINGS.json (an OpenAI-compatible server), transformers:NAME_OR_FOLDER, none; auto: captions.json in the
    capture's folder where there is one."""
    plan: PlanSettings = field(default_factory=PlanSettings)
    """What a model is asked."""
    video_prompt: str = "video_v1"
    """Prompt for the caption of the video: a name, or the path of a file of one's own."""
    frame_prompt: str = "frame_v1"
    """Prompt for the caption of a picture."""
    sentences: str = "minilm-l6"
    """What embeds captions: minilm-l6, e5-mistral (14 GB), e5-mistral:FOLDER."""
    compress: Literal["pca", "identity", "autoencoder"] = "pca"
    """What makes codes of embedded captions (4D LangSplat: an autoencoder of 6 numbers)."""
    width: int = 64
    """Numbers a code, of pca and autoencoder."""

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise SettingsError("codes of captions take 1 to 4096 numbers", self.width)

    def beside(self, root: Path) -> CaptionSettings:
        """Give the settings with "auto" decided for a capture's folder."""
        if self.source != "auto":
            return self
        path = root / BESIDE
        return replace(self, source=f"file:{path}" if path.is_file() else "none")
