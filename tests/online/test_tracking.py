"""Alignment and exact gradients on a room whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from langfield.errors import SettingsError
from langfield.online.align import Robust, descend, equations, pyramid, template_of
from langfield.online.pose import exp_se3, inverse, moved
from langfield.online.surface import depth_of, plane_channels
from langfield.online.tracking import (
    State,
    Tracker,
    TrackingSettings,
    drawn,
    frame_loss,
    level_of_frame,
    masks_of,
    seen_of,
)
from langfield.raster import Gaussians, rasterize
from tests.online.room import frame, loop_pose

CPU = torch.device("cpu")
POSE = loop_pose(0.1)
TWIST = torch.tensor([0.02, -0.015, 0.01, 0.004, 0.01, -0.006], dtype=torch.float64)


def shifted(twist: torch.Tensor) -> np.ndarray:
    return moved(torch.from_numpy(POSE), twist).numpy()


def floor(n: int = 60) -> Gaussians:
    """Discs on a slanted plane, n x n."""
    a = torch.linspace(-1.2, 1.2, n)
    x, y = (t.reshape(-1) for t in torch.meshgrid(a, a, indexing="xy"))
    axis = torch.tensor([0.0, -0.8, 0.6])
    means = torch.stack([x, 0.6 * y, 2.5 + 0.8 * y], 1)
    half = torch.tensor([1 + axis[2], -axis[1], axis[0], 0.0])  # turns z to the axis
    size = torch.tensor([0.04, 0.04, 0.004]).log().repeat(len(x), 1)
    colour = torch.rand(len(x), 1, 3, generator=torch.Generator().manual_seed(0))
    return Gaussians(means, half.repeat(len(x), 1), size, torch.full((len(x),), 1.0), colour)


def test_a_picture_is_aligned_with_another_from_elsewhere():
    here, there = (seen_of(frame(0, p), CPU) for p in (POSE, shifted(TWIST)))
    templates = [template_of(level) for level in pyramid(level_of_frame(here), 2)]
    levels = pyramid(level_of_frame(there), 2)
    motion, exposure, fit = descend(templates, levels, (torch.eye(4).double(), (1.0, 0.0)), (6, 5, 8), Robust())
    off = motion @ inverse(exp_se3(TWIST))
    assert float(off[:3, 3].norm()) < 0.002  # a pixel is 27 mm at the things
    assert abs(exposure[0] - 1) < 0.02
    assert fit.inliers > 0.9


def test_exposure_is_found():
    here = seen_of(frame(0, POSE), CPU)
    darker = replace(here, image=0.8 * here.image + 0.05)
    templates = [template_of(level_of_frame(here))]
    start = torch.eye(4).double(), (1.0, 0.0)
    _, (gain, offset), _ = descend(templates, [level_of_frame(darker)], start, (15,), Robust())
    assert abs(gain - 0.8) < 0.02
    assert abs(offset - 0.05) < 0.01


def test_curvature_predicts_the_slope_beside_the_minimum():
    here = seen_of(frame(0, POSE), CPU)
    template, level = template_of(level_of_frame(here)), level_of_frame(here)
    small = exp_se3(1e-3 * torch.tensor([0.5, -0.3, 0.4, 0.2, -0.3, 0.1], dtype=torch.float64))
    fit = equations(template, level, small, (1.0, 0.0), Robust())
    step = torch.linalg.solve(fit.H + 1e-9 * torch.eye(8), fit.g)
    left = small @ exp_se3(-step[:6])
    assert float((left - torch.eye(4)).norm()) < 0.25 * float((small - torch.eye(4)).norm())


def test_the_surface_of_slanted_discs_is_drawn_where_it_is():
    g = floor()
    camera = replace(frame(0, POSE).camera, T_world_camera=torch.eye(4, dtype=torch.float64))
    view = drawn(g, camera)
    depth, covered = depth_of(view, camera, 0.9)
    v = torch.arange(camera.height) + 0.5
    slope = (v - float(camera.K[1, 2])) / float(camera.K[1, 1])  # y / z; on the plane z = 2.5 + 4/3 y
    true = (2.5 / (1 - 4 / 3 * slope))[:, None].expand_as(depth)
    assert int(covered.sum()) > 1000
    error = ((depth - true).abs() / true)[covered]
    centres = ((view.depth / view.alpha - true).abs() / true)[covered]
    assert float(error.median()) < 1e-4
    assert float(centres.median()) > 5 * float(error.median())


def test_planes_behind_the_camera_and_seen_edge_on_are_harmless():
    g = floor(4)
    behind = replace(frame(0, POSE).camera, T_world_camera=torch.diag(torch.tensor([1.0, -1, -1, 1]).double()))
    assert float(plane_channels(g, behind.T_world_camera).abs().max()) == 0
    edge = torch.eye(4, dtype=torch.float64)
    edge[1, 3], edge[2, 3] = -2.5 * 0.6 / 0.8, 0.0  # in the plane
    planes = plane_channels(g, edge)
    assert bool(planes.isfinite().all())
    assert float(planes.abs().max()) < 100


def test_the_exact_gradient_is_the_slope_of_the_loss():
    here = frame(0, POSE)
    g = floor(30)
    askew = torch.tensor([0.0, 0, 0, 0.02, 0.06, 0.03], dtype=torch.float64)  # seen straight, rows would be equally far
    camera = replace(here.camera, T_world_camera=exp_se3(askew))
    view = rasterize(g, camera)
    assert view.colour is not None
    depth = torch.where(view.alpha > 0.5, view.depth / view.alpha, 0.0)
    seen = replace(seen_of(here, CPU), camera=camera, image=view.colour.roll(1, 1), depth=depth)
    tracker, state = Tracker(TrackingSettings(opaque=0.5)), State(camera.T_world_camera)
    masks = masks_of(drawn(g, camera), seen, tracker.settings)

    def loss(twist: torch.Tensor) -> float:
        posed = replace(camera, T_world_camera=moved(camera.T_world_camera, twist))
        return float(frame_loss(drawn(g, posed), seen, torch.tensor([1.0, 0.0]), masks, tracker.settings.robust))

    _, gradient, _ = tracker._exact(g, seen, state, masks)
    found, slope = [], []
    for k in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[k] = 2e-4
        slope.append((loss(step) - loss(-step)) / 4e-4)
        found.append(float(gradient[k]))
    assert np.linalg.norm(np.subtract(found, slope)) < 0.1 * np.linalg.norm(slope)


def test_settings_outside_their_range_are_told():
    with pytest.raises(SettingsError):
        Tracker(TrackingSettings(opaque=1.0))
