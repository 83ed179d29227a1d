"""A model's depth on the map's scale: any scale and shift are undone, outliers do not count, nonsense is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import EnvironmentProblem, FormatError
from langfield.online.rgb.model import FAR, LEAST, NEAR, laid_on, open_depth_model
from langfield.online.rgb.transformers_depth import kind_of

HEIGHT, WIDTH = 24, 32


def true_depth(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 4.0, (HEIGHT, WIDTH))


def known_of(depth: np.ndarray, share: float = 0.3, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(depth.shape) < share, depth, 0).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-2, 2), seed=st.integers(0, 50))
def test_any_scale_and_shift_of_inverse_depth_is_undone(scale: float, shift: float, seed: int):
    depth = true_depth(seed)
    laid = laid_on(scale * (1 / depth + shift), "relative", known_of(depth), 1.0)
    assert laid is not None
    np.testing.assert_allclose(laid.depth, depth, rtol=1e-3)
    assert laid.off is not None
    assert laid.off < 1e-4


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_any_scale_of_metres_is_undone(scale: float, seed: int):
    depth = true_depth(seed)
    laid = laid_on(scale * depth, "metric", known_of(depth), 1.0)
    assert laid is not None
    np.testing.assert_allclose(laid.depth, depth, rtol=1e-3)


@pytest.mark.parametrize("kind", ["relative", "metric"])
def test_a_quarter_of_nonsense_among_what_is_known_does_not_count(kind: str):
    depth = true_depth()
    known, rng = known_of(depth), np.random.default_rng(3)
    wrong = (known > 0) & (rng.random(depth.shape) < 0.25)
    known[wrong] *= rng.uniform(1.5, 3.0, wrong.sum())
    laid = laid_on(3 / depth + 1 if kind == "relative" else 2 * depth, kind, known, 1.0)  # type: ignore[arg-type]
    assert laid is not None
    assert np.median(np.abs(laid.depth / depth - 1)) < 0.06


def test_what_has_nothing_to_do_with_the_map_is_refused():
    depth = true_depth()
    assert laid_on(depth, "relative", known_of(depth), 1.0) is None  # far where it should be near
    few = np.zeros((HEIGHT, WIDTH), np.float32)
    few.flat[: LEAST - 1] = 1.0
    assert laid_on(1 / depth, "relative", few, 1.0) is None
    assert laid_on(np.full_like(depth, np.nan), "metric", known_of(depth), 1.0) is None


def test_with_nothing_known_metres_stay_and_an_order_is_spread_round_the_typical_depth():
    depth, nothing = true_depth(), np.zeros((HEIGHT, WIDTH), np.float32)
    metres = laid_on(depth, "metric", nothing, 2.0)
    assert metres is not None
    np.testing.assert_allclose(metres.depth, depth, rtol=1e-6)
    order = laid_on(7 / depth - 1, "relative", nothing, 2.0)
    assert order is not None
    assert order.off is None
    assert order.depth.min() == pytest.approx(2 * NEAR, rel=1e-5)
    assert order.depth.max() == pytest.approx(2 * FAR, rel=1e-5)
    assert (np.diff(order.depth.ravel()[np.argsort(depth, axis=None)]) >= 0).all()


def test_depth_that_is_none_is_unknown():
    depth = true_depth()
    raw = 1 / depth
    raw[0, 0], raw[0, 1] = np.nan, -5.0  # beyond the horizon
    laid = laid_on(raw, "relative", known_of(depth), 1.0)
    assert laid is not None
    assert laid.depth[0, 1] == 0
    assert np.isfinite(laid.depth).all()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A Depth Anything of a few thousand weights, as a folder."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"], reshape_hidden_states=False,  # pyright: ignore
    )  # fmt: skip
    torch.manual_seed(0)
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=4, depth_estimation_type="metric", max_depth=20,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("depth") / "tiny"
    model = DepthAnythingForDepthEstimation(config)
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)  # as it begins it would see ten metres everywhere
    model.save_pretrained(folder)
    DPTImageProcessor(size={"height": 56, "width": 56}, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def test_a_model_of_transformers_sees_depth_at_every_pixel(tiny: Path):
    model = open_depth_model(f"transformers:{tiny}")
    assert model.kind == "metric"
    assert model.provenance["depth_model"] == "tiny"
    assert len(model.provenance["weights"]) > 10
    image = np.random.default_rng(0).integers(0, 255, (30, 44, 3), np.uint8)
    seen = model(image)
    assert seen.shape == (30, 44)
    assert (seen >= 0).all()
    assert (seen <= 20.001).all()
    assert not np.array_equal(seen, model(image[::-1].copy()))


def test_what_is_no_depth_model_is_refused(tmp_path: Path, tiny: Path):
    with pytest.raises(FormatError, match="kind"):
        open_depth_model("onnx:somewhere")
    with pytest.raises(EnvironmentProblem, match="cannot be had"):
        open_depth_model(str(tmp_path))
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(FormatError, match="no depth estimator"):
        open_depth_model(str(tmp_path))
    with pytest.raises(FormatError, match="metres"):
        kind_of(SimpleNamespace(model_type="mystery"), "mystery")
