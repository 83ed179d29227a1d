"""SAM's own automatic mask generator with its three multimask outputs kept apart: what ours is measured against.

Same grid of points, same thresholds. Per level: predicted IoU, stability, box NMS, small islands and holes removed and
box NMS again, all by the generator's own code at full resolution and its own batch size of 64.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from langfield.segment.types import LEVELS, LevelMasks, SegmentSettings


class _OneLevel:
    """Stands in for the predictor and hands out one of the three masks that it has predicted last."""

    def __init__(self, predictor: Any) -> None:
        self.transform, self.device, self.model = predictor.transform, predictor.device, predictor.model
        self.predictor, self.level = predictor, 0
        self.last: tuple[Any, ...] = ()

    def predict_torch(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        if self.level == 0:
            self.last = self.predictor.predict_torch(*args, **kwargs)
        return tuple(x[:, self.level : self.level + 1] for x in self.last)


def stock_levels(model: Any, image: UInt8[np.ndarray, "H W 3"], settings: SegmentSettings) -> list[LevelMasks]:
    """Run the stock generator once and give its masks per level.

    Args:
        model: a SAM as `load_sam` gives it.
        image: RGB.
        settings: points, thresholds and minimum area; everything about mask NMS and skipping is ignored.
    """
    generator = _generator(model, settings)
    generator.predictor.set_image(image)
    one = _OneLevel(generator.predictor)
    generator.predictor = one
    size = image.shape[:2]
    box = [0, 0, size[1], size[0]]
    points = generator.point_grids[0] * np.array(size)[None, ::-1]
    data = [_mask_data() for _ in LEVELS]
    with torch.inference_mode():
        for start in range(0, len(points), generator.points_per_batch):
            for one.level in range(len(LEVELS)):
                batch = points[start : start + generator.points_per_batch]
                data[one.level].cat(generator._process_batch(batch, size, box, size))
    return [_finish(generator, level, size) for level in data]


def _generator(model: Any, settings: SegmentSettings) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mobile_sam import SamAutomaticMaskGenerator
    return SamAutomaticMaskGenerator(
        model,
        points_per_side=settings.points_per_side,
        pred_iou_thresh=settings.pred_iou_thresh,
        stability_score_thresh=settings.stability_thresh,
        box_nms_thresh=settings.box_nms_iou,
        min_mask_region_area=settings.min_area_px,
    )


def _mask_data() -> Any:
    from mobile_sam.utils.amg import MaskData

    return MaskData()


def _finish(generator: Any, data: Any, size: tuple[int, ...]) -> LevelMasks:
    from mobile_sam.utils.amg import rle_to_mask
    from torchvision.ops import nms

    if len(list(data.items())) == 0 or len(data["rles"]) == 0:
        return LevelMasks(np.zeros((0, *size), bool), np.zeros(0, np.float32))
    data.filter(nms(data["boxes"].float(), data["iou_preds"], generator.box_nms_thresh))
    data.to_numpy()
    least = generator.min_mask_region_area
    if least > 0:
        data = generator.postprocess_small_regions(data, least, generator.box_nms_thresh)
    masks = np.array([rle_to_mask(rle) for rle in data["rles"]])
    keep = masks.sum(axis=(1, 2)) >= max(least, 1)
    return LevelMasks(masks[keep], (data["iou_preds"] * data["stability_score"])[keep].astype(np.float32))
