"""Masks at three levels from SAM and MobileSAM: a grid of points, decoded cheaply, thinned before drawing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from langfield.artefacts import file_key, plain
from langfield.errors import FormatError, SettingsError
from langfield.segment.assemble import assemble, clean
from langfield.segment.candidates import Candidates, Enlarger, enlarger, join, select, thin
from langfield.segment.decoder import ImageSide, PointDecoder
from langfield.segment.types import LEVELS, LevelMasks, Segments, SegmentSettings
from langfield.segment.workers import single_threaded

MOBILE_KINDS = ("vit_t",)
KINDS = (*MOBILE_KINDS, "vit_b", "vit_l", "vit_h")
GPU_BATCH = 64
"""Points decoded at once on a GPU; a CPU's cache wants few."""


def load_sam(checkpoint: Path, kind: str) -> Any:
    """Read a SAM checkpoint, never unpickling.

    Args:
        checkpoint: a state dict as published (`mobile_sam.pt`, `sam_vit_h_4b8939.pth`).
        kind: one of KINDS.

    Raises:
        SettingsError: no such kind.
        FormatError: not a checkpoint, or of another kind.
    """
    if kind not in KINDS:
        raise SettingsError(f"there is no SAM of kind {kind}", None, f"choose one of {', '.join(KINDS)}")
    if not checkpoint.is_file():
        raise FormatError("SAM checkpoint not found", checkpoint)
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its reader meets: Runtime, Unpickling, EOF, Key, OS errors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"not readable as a SAM checkpoint: {reason}", checkpoint) from error
    model = _architecture(kind)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise FormatError(f"this checkpoint does not hold a SAM of kind {kind}", checkpoint, "name its kind") from error
    return model.eval().requires_grad_(False)


def _architecture(kind: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mobile_sam registers its encoders over timm's and imports old names
        if kind in MOBILE_KINDS:
            from mobile_sam import sam_model_registry
        else:
            from segment_anything import sam_model_registry
        return sam_model_registry[kind]()


def point_grid(per_side: int) -> Float[np.ndarray, "P 2"]:
    """Give the centres of a grid of cells as x, y in 0..1, row by row."""
    line = (np.arange(per_side) + 0.5) / per_side
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def waves(per_side: int) -> list[Int[np.ndarray, " n"]]:
    """Split the grid's point numbers from coarse to fine: every fourth in both directions, every second, the rest."""
    row, column = np.divmod(np.arange(per_side**2), per_side)
    fourth = (row % 4 == 1) & (column % 4 == 1)
    second = (row % 2 == 1) & (column % 2 == 1) & ~fourth
    diagonal = ((row + column) % 2 == 0) & ~second & ~fourth
    rest = ~(fourth | second | diagonal)
    return [part.nonzero()[0] for part in (fourth, second, diagonal, rest) if part.any()]


class SamSegmenter:
    """SAM's automatic mask generation with its three multimask outputs kept apart (LangSplat, section 3.2)."""

    def __init__(self, checkpoint: Path, kind: str, settings: SegmentSettings, name: str | None = None) -> None:
        from segment_anything.utils.transforms import ResizeLongestSide

        self.model = load_sam(checkpoint, kind)
        self.settings, self.device = settings, torch.device("cpu")
        self.name = name or f"sam:{kind}:{checkpoint}"
        self.decoder = PointDecoder(self.model)
        self.resize = ResizeLongestSide(self.model.image_encoder.img_size)
        self.provenance = {
            "segmenter": "mobile-sam" if kind in MOBILE_KINDS else "sam",
            "kind": kind,
            "weights_file": checkpoint.name,
            "weights_sha256": file_key(checkpoint),
            "settings": plain(settings),
        }

    def to(self, device: torch.device) -> None:
        """Run the networks on a device from now on; masks are still chosen and drawn on the CPU."""
        self.model, self.device = self.model.to(device).eval(), device  # eval: attention biases are made anew there

    @torch.inference_mode()
    def segment(self, image: UInt8[np.ndarray, "H W 3"]) -> Segments:
        """Find the segments of an RGB picture."""
        return assemble(self.level_masks(image))

    @torch.inference_mode()
    def level_masks(self, image: UInt8[np.ndarray, "H W 3"]) -> list[LevelMasks]:
        """Give the masks of each level, overlapping as SAM made them."""
        candidates, draw = self.candidates(image)
        thinned = thin(candidates, self.settings)
        return [self._draw(thinned[thinned.levels == level], draw) for level in range(len(LEVELS))]

    @torch.inference_mode()
    def candidates(self, image: UInt8[np.ndarray, "H W 3"]) -> tuple[Candidates, Enlarger]:
        """Decode the grid of points; gives all masks that pass the thresholds and how to enlarge them.

        Args:
            image: RGB.

        Raises:
            FormatError: not an RGB picture of 8 bits.
        """
        _check_picture(image)
        features, inner = self.encode(image)
        side = self.model.image_encoder.img_size
        side_of_image = self.decoder.image_side(features)
        # One token row more than the picture covers: the last full-size row is interpolated from it.
        stride = side // max(side_of_image.grid)
        tokens = tuple(min(-(-n // stride) + 1, size) for n, size in zip(inner, side_of_image.grid, strict=True))
        low = (4 * tokens[0], 4 * tokens[1])
        found = self._decode_grid(side_of_image, inner, tokens)
        return found, enlarger((image.shape[0], image.shape[1]), inner, side, low)

    def encode(self, image: UInt8[np.ndarray, "H W 3"]) -> tuple[Float[Tensor, "1 C rows cols"], tuple[int, int]]:
        """Run the image encoder; gives features and the height and width the picture has in the encoder's square."""
        resized = torch.as_tensor(self.resize.apply_image(image)).permute(2, 0, 1)[None].to(self.device)
        return self.model.image_encoder(self.model.preprocess(resized)), (resized.shape[2], resized.shape[3])

    def _decode_grid(self, image: ImageSide, inner: tuple[int, int], tokens: tuple[int, int]) -> Candidates:
        grid = point_grid(self.settings.points_per_side)
        points = torch.tensor(grid * (inner[1], inner[0]), dtype=torch.float32)
        certain = torch.zeros(len(points), dtype=torch.bool)
        order = waves(self.settings.points_per_side) if self.settings.skip_confident else [np.arange(len(points))]
        found: list[Candidates] = [_none(tokens)]
        with single_threaded() as pool:
            for wave in order:
                todo = torch.as_tensor(wave)
                todo = todo[~certain[todo]]
                if len(todo) == 0:
                    continue
                batches = todo.split(self.settings.decoder_batch if self.device.type == "cpu" else GPU_BATCH)
                fresh = list(pool.map(lambda rows: self._decode(image, points[rows], rows, tokens), batches))
                found += fresh
                if self.settings.skip_confident:
                    certain |= _inside_certain(join(fresh), points, self.settings)
        return join(found)

    @torch.inference_mode()
    def _decode(self, image: ImageSide, points: Tensor, numbers: Tensor, tokens: tuple[int, int]) -> Candidates:
        prompt, pixels = self.decoder.attend(image, self.decoder.prompt_tokens(points.to(self.device)))
        quality = self.decoder.quality(prompt)
        rows = (quality > self.settings.pred_iou_thresh).any(dim=1)  # the rest need no masks
        logits = self.decoder.masks(prompt[rows], pixels[rows], image.grid, tokens).cpu()
        rows = rows.cpu()
        return select(logits, quality.cpu()[rows], numbers[rows], self.settings)

    def _draw(self, level: Candidates, draw: Enlarger) -> LevelMasks:
        least = self.settings.min_area_px
        with single_threaded() as pool:
            masks = list(pool.map(lambda logits: clean(draw(logits).numpy(), least), level.logits))
        keep = np.array([mask.sum() >= max(least, 1) for mask in masks], bool)
        shape = (len(draw.rows), len(draw.columns))
        scores = level.scores.clamp(0, 1).numpy()  # predicted IoU is a plain regression and may exceed 1
        return LevelMasks(np.array(masks, bool).reshape(-1, *shape)[keep], scores[keep])


def _check_picture(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FormatError("not an 8-bit RGB picture", f"{image.dtype} {list(image.shape)}")


def _none(tokens: tuple[int, int]) -> Candidates:
    nothing = torch.zeros(0)
    numbers = torch.zeros(0, dtype=torch.long)
    return Candidates(torch.zeros(0, 4 * tokens[0], 4 * tokens[1]), nothing, nothing, numbers, numbers)


def _inside_certain(fresh: Candidates, points: Float[Tensor, "P 2"], settings: SegmentSettings) -> Bool[Tensor, " P"]:
    """Tell which points lie in a subpart mask that is certain: their own masks would be the same."""
    sure = (fresh.levels == 0) & (fresh.quality >= settings.skip_score) & (fresh.stability >= settings.skip_score)
    x, y = (points // 4).long().T
    return (fresh.logits[sure] > 0).any(dim=0)[y, x]


def mean_area_by_level(segments: Segments) -> Sequence[float]:
    """Give the mean visible area of each level's segments in pixels, 0 where a level is empty."""
    counts = np.bincount(segments.ids[segments.ids >= 0].ravel(), minlength=len(segments.levels))
    return [float(counts[segments.levels == i].mean()) if (segments.levels == i).any() else 0.0 for i in range(3)]
