"""MobileSAM for a camera that moves: a smaller encoder square, nothing padded, low precision where it is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import pad

from langfield.errors import SettingsError
from langfield.processor import quick_dtype
from langfield.segment.sam import SamSegmenter
from langfield.segment.tiny_vit import STRIDE, TinyEncoder
from langfield.segment.types import SegmentSettings
from langfield.threads import one_thread

SIDE_PX = 768
SIDES = range(256, 1025, 64)


def side_of(text: str) -> int:
    """Read the side of the encoder's square, pixels; empty for the default.

    Raises:
        SettingsError: not one of SIDES.
    """
    if not text:
        return SIDE_PX
    if not (text.isdecimal() and len(text) <= 4 and int(text) in SIDES):
        raise SettingsError(
            "the encoder's side is not one that it can have", text, f"{SIDES[0]} to {SIDES[-1]} in steps of 64"
        )
    return int(text)


def quick_identity(side: int) -> dict[str, Any]:
    """Say what decides masks beside weights and settings; precision is the machine's."""
    return {"side": side, "precision": str(quick_dtype()).removeprefix("torch.")}


class QuickSam(SamSegmenter):
    """MobileSAM on pictures whose longer side is `side` pixels, 768 for 1024 by default; masks come at a quarter of it.

    Args:
        checkpoint: MobileSAM's.
        settings: points and thresholds.
        side: of the encoder's square.
        dtype: what the encoder computes in; None for what this processor is quick at.
    """

    def __init__(
        self, checkpoint: Path, settings: SegmentSettings, side: int = SIDE_PX, dtype: torch.dtype | None = None
    ) -> None:
        from segment_anything.utils.transforms import ResizeLongestSide

        name = "mobile-sam-quick" + ("" if side == SIDE_PX else f":{side}")
        super().__init__(checkpoint, "vit_t", settings, name)
        self.encoder = TinyEncoder(self.model.image_encoder, dtype or quick_dtype())
        self.resize = ResizeLongestSide(side)
        self.model.image_encoder.img_size = side
        self.model.prompt_encoder.input_image_size = (side, side)
        self.model.prompt_encoder.image_embedding_size = (side // STRIDE, side // STRIDE)
        how = {"side": side, "precision": str(self.encoder.dtype).removeprefix("torch.")}
        self.provenance |= {"segmenter": "mobile-sam-quick", **how}

    def to(self, device: torch.device) -> None:
        """Run the networks on a device from now on."""
        super().to(device)
        self.encoder.to(device)

    def encode(self, image: UInt8[Any, "H W 3"]) -> tuple[Float[Tensor, "1 C rows cols"], tuple[int, int]]:
        """Run the image encoder on the picture alone; gives features and the size it was enlarged or shrunk to."""
        resized = torch.as_tensor(self.resize.apply_image(image)).permute(2, 0, 1)[None].to(self.device)
        height, width = resized.shape[2:]
        pixels = pad(
            (resized - self.model.pixel_mean) / self.model.pixel_std, (0, -width % STRIDE, 0, -height % STRIDE)
        )
        with one_thread():  # 0.3 s on one core: too small to share beside other work
            return self.encoder(pixels), (height, width)
