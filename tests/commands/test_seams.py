"""Which pixels lie near a border between blocks, from cameras and borders that are known."""

from __future__ import annotations

import numpy as np
import torch

from langfield.capture.types import Camera
from langfield.commands.cluster_bench.seams import near_border, surface
from langfield.field.blocks import Cells


def test_near_is_as_far_as_it_is_said_and_only_where_the_border_goes():
    cut = Cells(torch.tensor([0, 1]), torch.tensor([0.0, 2.0]).double(), torch.tensor([[-1, 1], [-2, -3]]))
    points = torch.tensor([[-0.9, 9, 0], [-1.1, 9, 0], [0.9, 9, 0], [5, 2.9, 0], [5, 3.1, 0], [-5, 2.1, 0]]).double()
    assert near_border(cut, points, 1.0).tolist() == [True, False, True, True, False, False]
    assert not near_border(Cells(*(t[:0] for t in (cut.axis, cut.at, cut.sides))), points, 1.0).any()


def test_pixels_lie_where_their_depth_says():
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # looks along x, z is up
    pose[:3, 3] = torch.tensor([10.0, 20, 30])
    K = torch.tensor([[4.0, 0, 2], [0, 4, 1], [0, 0, 1]], dtype=torch.float64)
    found = surface(Camera(K, 4, 2, pose), np.full((2, 4), 8.0))
    expected = [[18.0, 20 - 2 * (x - 2 + 0.5), 30 - 2 * (y - 1 + 0.5)] for y in range(2) for x in range(4)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)
