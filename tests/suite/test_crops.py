"""Masked crops against a slow twin, and one embedding per distinct crop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from langfield.errors import FormatError
from langfield.segment.types import Segments
from langfield.suite.crops import context_crop, embed_segments, masked_crop, masked_crops


def naive_crop(image, mask, box, size):
    """Pixel by pixel, the way LangSplat's three helper functions do it one after the other."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0)
    square = np.zeros((side, side, 3), np.uint8)
    for y in range(y0, y1):
        for x in range(x0, x1):
            if mask[y, x]:
                square[y - y0 + (side - (y1 - y0)) // 2, x - x0 + (side - (x1 - x0)) // 2] = image[y, x]
    return cv2.resize(square, (size, size))


@pytest.mark.parametrize("box", [(3, 2, 20, 9), (5, 1, 8, 24), (0, 0, 30, 25), (29, 24, 30, 25)])
def test_crop_equals_its_naive_twin(box):
    rng = np.random.default_rng(0)
    image = rng.integers(1, 255, (25, 30, 3), dtype=np.uint8)
    mask = rng.random((25, 30)) < 0.7
    np.testing.assert_array_equal(masked_crop(image, mask, np.array(box), 32), naive_crop(image, mask, box, 32))
    assert masked_crops(image, mask[None], np.array([box]))[0].shape == (224, 224, 3)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (-1, 0, 4, 4), (0, 0, 31, 4), (9, 9, 2, 12)])
def test_boxes_outside_the_picture_are_refused(box):
    with pytest.raises(FormatError, match="does not fit"):
        masked_crop(np.zeros((25, 30, 3), np.uint8), np.ones((25, 30), bool), np.array(box))
    with pytest.raises(FormatError, match="does not fit"):
        context_crop(np.zeros((25, 30, 3), np.uint8), np.array(box), 1.2)


def naive_context(image, box, grow, size):
    """Pixel by pixel: those of the grown box that lie in the picture, in the middle of a black square."""
    height, width = image.shape[:2]
    (x0, y0, x1, y1), edges = box, []
    for low, high, limit in ((x0, x1, width), (y0, y1, height)):
        reach = (high - low) * (grow - 1) / 2
        edges.append([p for p in range(limit) if round(low - reach) <= p < round(high + reach)])
    side = max(map(len, edges))
    square = np.zeros((side, side, 3), np.uint8)
    for row, y in enumerate(edges[1]):
        for column, x in enumerate(edges[0]):
            square[row + (side - len(edges[1])) // 2, column + (side - len(edges[0])) // 2] = image[y, x]
    return cv2.resize(square, (size, size))


@pytest.mark.parametrize("grow", [1.0, 1.2, 1.5, 40.0])
@pytest.mark.parametrize("box", [(3, 2, 20, 9), (5, 1, 8, 24), (0, 0, 30, 25), (29, 24, 30, 25)])
def test_context_crop_equals_its_naive_twin(box, grow):
    image = np.random.default_rng(1).integers(1, 255, (25, 30, 3), dtype=np.uint8)
    found = context_crop(image, np.array(box), grow, 32)
    np.testing.assert_array_equal(found, naive_context(image, box, grow, 32))


def test_context_keeps_what_the_mask_hides():
    image = np.full((20, 20, 3), 200, np.uint8)
    mask, box = np.zeros((20, 20), bool), np.array([5, 5, 15, 15])
    mask[5, 5] = mask[14, 14] = True
    assert (masked_crop(image, mask, box) == 0).mean() > 0.9
    assert (context_crop(image, box, 1.2) == 200).all()


class Counting:
    """An encoder that counts what it is given and answers with the picture's mean colour."""

    name, dim = "counting", 3

    def __init__(self):
        self.provenance, self.seen = {}, 0

    def encode_images(self, images):
        self.seen += len(images)
        means = torch.tensor(np.array([i.reshape(-1, 3).mean(0) for i in images]), dtype=torch.float32)
        return torch.nn.functional.normalize(means, dim=1)


def test_equal_masks_of_several_levels_are_embedded_once():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, :10, 0], image[:, 10:, 1] = 200, 200
    ids = np.full((3, 20, 20), -1, np.int16)
    ids[0, 2:8, 2:8], ids[1, 2:8, 2:8], ids[2, 2:8, 12:18] = 0, 1, 2
    boxes = np.array([[2, 2, 8, 8], [2, 2, 8, 8], [12, 2, 18, 8]], np.int32)
    segments = Segments(ids, boxes, np.array([0, 1, 2], np.int16), np.ones(3, np.float32))
    encoder = Counting()
    vectors = embed_segments(image, segments, encoder)
    assert encoder.seen == 2
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, [[1, 0, 0], [1, 0, 0], [0, 1, 0]], atol=1e-3)
    with pytest.raises(FormatError, match="do not fit"):
        embed_segments(image[:10], segments, encoder)
