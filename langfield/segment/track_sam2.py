"""SAM 2 (2408.00714) as a tracker: the tracker without weights says what there is, SAM 2 draws it in every picture.

Each thing is shown to SAM 2's video predictor once, in the picture where it is largest, and followed from there to both
ends. The package `sam2` and its weights come from their own project; langfield does not ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int16
from PIL import Image

from langfield.artefacts import file_key, plain
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.progress import track
from langfield.segment.track import Shot, TrackSettings
from langfield.segment.track_flow import FlowTracker, numbered
from langfield.segment.track_flow import identity as flow_identity

VERSION = 1


def identity(rest: str, settings: TrackSettings) -> dict[str, Any]:
    """Say what decides the tracks.

    Raises:
        SettingsError: configuration or checkpoint is not named.
        FormatError: the checkpoint does not exist.
    """
    config, checkpoint = _places(rest)
    return {
        "tracker": "sam2", "version": VERSION, "config": config, "weights": file_key(checkpoint),
        "things": flow_identity("", settings)["version"], "settings": {**plain(settings), "tracker": "sam2"},
    }  # fmt: skip


class Sam2Tracker:
    """Tracker over SAM 2's video predictor; see `Tracker`.

    Args:
        predictor: a `SAM2VideoPredictor`.
        settings: how things are found, and how many pictures must show one.
    """

    name = "sam2"

    def __init__(self, predictor: Any, settings: TrackSettings) -> None:
        self.predictor, self.settings = predictor, settings

    @torch.inference_mode()
    def track(self, video: Sequence[Shot]) -> Iterator[Int16[np.ndarray, "H W"]]:
        """Give the id map of each picture; see `Tracker`."""
        found = list(FlowTracker(self.settings).track(video))
        things = max((int(ids.max(initial=0)) for ids in found), default=0)
        best = [np.full(ids.shape, 0.0, np.float32) for ids in found]  # a logit above 0 is inside
        maps = [np.zeros_like(ids) for ids in found]
        with TemporaryDirectory() as folder:
            for number, shot in enumerate(video):  # the predictor reads JPEG files named by number, and nothing else
                Image.fromarray(shot.picture).save(Path(folder) / f"{number:05d}.jpg", quality=95)
            state = self.predictor.init_state(video_path=folder)
            for thing in track(range(1, things + 1), "sam2"):
                for t, logits in self._follow(state, thing, [ids == thing for ids in found]):
                    ahead = logits > best[t]
                    maps[t][ahead], best[t][ahead] = thing, logits[ahead]
        number = numbered(maps, self.settings.least_frames)
        yield from (number[ids] for ids in maps)

    def _follow(
        self, state: Any, thing: int, masks: Sequence[Bool[np.ndarray, "H W"]]
    ) -> Iterator[tuple[int, Float32[np.ndarray, "H W"]]]:
        """Give the logits of one thing, picture by picture, from where it is largest to both ends."""
        start = int(np.argmax([mask.sum() for mask in masks]))
        for reverse in (False, True):
            self.predictor.reset_state(state)
            self.predictor.add_new_mask(state, frame_idx=start, obj_id=thing, mask=torch.from_numpy(masks[start]))
            for t, _, logits in self.predictor.propagate_in_video(state, start_frame_idx=start, reverse=reverse):
                yield int(t), logits[0, 0].float().cpu().numpy()


def load(rest: str, settings: TrackSettings) -> Sam2Tracker:
    """Make the tracker from "CONFIG:CHECKPOINT".

    Raises:
        SettingsError: configuration or checkpoint is not named.
        FormatError: the checkpoint does not exist.
        EnvironmentProblem: the package `sam2` is not installed.
    """
    config, checkpoint = _places(rest)
    try:
        from sam2.build_sam import build_sam2_video_predictor  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EnvironmentProblem("SAM 2 is not installed", "tracks.tracker", "run: pip install sam2") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Sam2Tracker(build_sam2_video_predictor(config, str(checkpoint), device=device), settings)


def _places(rest: str) -> tuple[str, Path]:
    config, _, path = rest.partition(":")
    if not config or not path:
        raise SettingsError("sam2 needs a configuration and a checkpoint", rest, "write sam2:CONFIG:PATH_OF_CHECKPOINT")
    checkpoint = Path(path).expanduser()
    if not checkpoint.is_file():
        raise FormatError("SAM 2 checkpoint not found", checkpoint, "download it from the sam2 project")
    return config, checkpoint
