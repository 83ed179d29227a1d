"""Names of pixels and their IoU, on pictures small enough to count by hand."""

import numpy as np
import pytest
import torch

from langfield.evaluate.dense import NO_NAME, bilinear, name_picture, names_iou, nearest_names
from langfield.evaluate.labels import Query


def square(text: str, x0: int, y0: int, x1: int, y1: int) -> Query:
    return Query("a", text, (np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float),))


def test_smaller_things_lie_on_top():
    picture = name_picture([square("cup", 2, 2, 3, 3), square("table", 0, 0, 5, 5)], ["cup", "table"], 8, 8)
    assert (picture == 0).sum() == 4
    assert (picture == 1).sum() == 36 - 4
    assert (picture == NO_NAME).sum() == 64 - 36


def test_iou_counts_labelled_pixels_alone():
    wanted = {"a": np.array([[0, 0, 1, -1]]), "b": np.array([[1, 1, -1, -1]])}
    found = {"a": np.array([[0, 1, 1, 0]]), "b": np.array([[1, 0, 0, 0]])}
    iou = names_iou(found, wanted, 3)
    assert iou[:2] == pytest.approx([1 / 3, 2 / 4])
    assert np.isnan(iou[2])


def test_every_pixel_takes_the_nearest_name():
    features = torch.eye(3)[torch.tensor([[0, 1], [2, 2]])]
    rows = nearest_names(features, torch.eye(3), (4, 4))
    assert rows.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2], [2, 2, 2, 2]]


def test_bilinear_keeps_constant_vectors_and_gives_unit_ones():
    patches = torch.nn.functional.normalize(torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0)), dim=0)
    maps = bilinear(patches, 4)
    assert maps.shape == (12, 16, 6)
    assert torch.allclose(maps.norm(dim=-1), torch.ones(12, 16), atol=1e-5)
    flat = bilinear(patches[:, :1, :1].expand(6, 3, 4), 4)
    assert torch.allclose(flat, patches[:, 0, 0].expand(12, 16, 6), atol=1e-6)
