"""What is sent to the browser: covariances as a naive twin makes them, sizes that survive half precision."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from langfield.viewer.app import ViewerApp, ViewerSettings
from langfield.viewer.splats import WIDEST, along_a_curve, base_colours, covariances, unit_for_half_precision
from tests.viewer.scene import MadeUpRun


def test_covariances_agree_with_a_naive_twin():
    generator = torch.Generator().manual_seed(0)
    quats = torch.randn(40, 4, generator=generator) * 3
    scales = torch.rand(40, 3, generator=generator) + 0.01
    ours = covariances(quats, scales)
    for q, s, c in zip(quats.numpy(), scales.numpy(), ours.numpy(), strict=True):
        R = Rotation.from_quat(q, scalar_first=True).as_matrix()
        np.testing.assert_allclose(c, R @ np.diag(s**2) @ R.T, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.floats(1e-5, 1e3), st.floats(1, 1e3))
def test_variances_stay_finite_and_positive_in_half_precision(usual: float, widest: float):
    scales = torch.full((20, 3), usual)
    scales[0] *= widest
    unit = unit_for_half_precision(scales)
    variances = ((scales / unit) ** 2).numpy().astype(np.float16)
    assert np.isfinite(variances).all()
    assert (variances > 0).all()
    assert unit >= usual * widest / WIDEST * 0.999


def test_base_colours_of_grey_white_and_nan():
    sh = torch.tensor([[[0.0] * 3], [[9.0] * 3], [[float("nan")] * 3]])
    assert base_colours(sh).tolist() == [[128] * 3, [255] * 3, [128] * 3]


def test_a_curve_visits_every_point_once_and_neighbours_together():
    dice = np.random.default_rng(0)
    points = dice.random((4096, 3))
    order = along_a_curve(points)
    assert np.array_equal(np.sort(order), np.arange(4096))
    spread = [points[piece].std(axis=0).mean() for piece in np.array_split(order, 8)]
    assert np.mean(spread) < 0.75 * points.std(axis=0).mean()
    assert len(along_a_curve(points[:0])) == 0


def test_only_what_changed_is_sent_and_moving_back_restores(run: MadeUpRun):
    app = ViewerApp(run, ViewerSettings(port=0))
    app.start()
    try:
        scene, count = app.scene, len(run.field.gaussians)
        assert scene.paint(scene.rgb) == 0
        one = scene.rgb.copy()
        one[7] = 255 - one[7]
        assert 0 < scene.paint(one) < 32 * count / 2
        assert np.array_equal(scene.shown, one)
        offsets = np.zeros((count, 3))
        offsets[5] = (0.0, 0.0, 1.0)
        assert 0 < scene.paint(one, offsets=offsets) < 32 * count / 2
        assert scene.paint(one, offsets=offsets) == 0
        assert scene.paint(one) > 0
        gone = np.zeros(count, bool)
        gone[3] = True
        scene.paint(one, gone)
        assert np.array_equal(np.flatnonzero(~scene.visible), [3])
    finally:
        app.stop()
