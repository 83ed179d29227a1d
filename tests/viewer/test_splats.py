"""What is sent to the browser: covariances as a naive twin makes them, sizes that survive half precision."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from langfield.viewer.splats import WIDEST, base_colours, covariances, unit_for_half_precision


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
