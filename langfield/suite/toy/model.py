"""The toy CLIPs: open_clip's own classes, small, with weights of ours beside this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from langfield.artefacts import read_tensors
from langfield.errors import FormatError, SettingsError
from langfield.suite.toy.scenes import SIDE_PX
from langfield.suite.toy.tokenizer import CONTEXT, ToyTokenizer

NAMES = ("good", "bag", "dense")
FOLDER = Path(__file__).parent
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
EMBED, PATCH_PX = 64, 8
VISION: dict[str, Any] = {"layers": 3, "width": 128, "head_width": 32, "patch_size": PATCH_PX, "image_size": SIDE_PX}
TEXT: dict[str, Any] = {"layers": 3, "width": 96, "heads": 3, "context_length": CONTEXT}


@dataclass(frozen=True)
class Toy:
    """A toy CLIP with all that belongs to it."""

    name: str
    model: Any
    """An `open_clip.model.CLIP` in evaluation mode."""
    tokenizer: ToyTokenizer
    transform: Callable[[Any], Tensor]
    """A PIL picture to pixels [3, 64, 64], made by open_clip."""
    about: dict[str, Any]
    """Seed, steps, scores, licence: the weight file's own description."""


def build(seed: int = 0) -> nn.Module:
    """Make an untrained toy CLIP."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text = CLIPTextCfg(vocab_size=ToyTokenizer().vocab_size, **TEXT)
        return CLIP(EMBED, CLIPVisionCfg(**VISION), text)


def weights_path(name: str, folder: Path = FOLDER) -> Path:
    """Say where the weights of a toy CLIP lie."""
    return folder / f"{name}.safetensors"


def load_toy(name: str, folder: Path = FOLDER) -> Toy:
    """Load a toy CLIP, on the CPU, float32.

    Args:
        name: "good", "bag" or "dense".
        folder: where its weights lie; those of the package where not said.

    Raises:
        SettingsError: no such toy CLIP.
        FormatError: its weights are missing, damaged or of another shape.
    """
    if name not in NAMES:
        raise SettingsError(f"no toy CLIP is called {name!r}", remedy=f"choose one of: {', '.join(NAMES)}")
    tensors, about = read_tensors(weights_path(name, folder))
    model = build()
    try:
        model.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except RuntimeError as error:
        raise FormatError(f"not the weights of a toy CLIP: {str(error)[:200]}", weights_path(name, folder)) from error
    return Toy(name, model.eval(), ToyTokenizer(), transform(), about)


def transform() -> Callable[[Any], Tensor]:
    """Give the preprocessing of all toy CLIPs: shorter side to 64 by bicubic resampling, centre crop."""
    from open_clip.transform import image_transform

    made: Any = image_transform(SIDE_PX, is_train=False, mean=MEAN, std=STD)
    return made
