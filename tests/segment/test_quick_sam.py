"""MobileSAM's encoder at any size against the published one, and quick masks on a small picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from langfield import weights
from langfield.errors import EnvironmentProblem, SettingsError
from langfield.segment import SegmentSettings, mask_of, segmenter_identity
from langfield.segment.bench import best_iou
from langfield.segment.quick_sam import QuickSam
from langfield.segment.store import check_segments
from langfield.segment.tiny_vit import TinyEncoder
from tests.segment.test_sam import picture


@pytest.fixture(scope="module")
def published() -> Any:
    """The published architecture, narrow, randomly filled, statistics of its normalisations included."""
    import mobile_sam  # noqa: F401  registers what it needs
    from mobile_sam.modeling.tiny_vit_sam import TinyViT

    torch.manual_seed(2)
    net = TinyViT(128, 3, 0, [16, 16, 32, 320], [2, 2, 2, 1], [1, 1, 2, 4], [7, 7, 14, 7])
    for name, values in [*net.named_parameters(), *net.named_buffers()]:
        if name.endswith("running_var"):
            values.uniform_(0.5, 1.5)
        elif (values.is_floating_point() and values.ndim == 1) or name.endswith("attention_biases"):
            values.data.add_(0.2 * torch.randn_like(values))
    return net.eval().requires_grad_(False)


def as_published(net: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Run the published modules, told of another size than they were made for."""
    height, width = pixels.shape[2:]
    for layer, stride in zip(net.layers, (4, 8, 16, 16), strict=True):
        for part in (layer, layer.downsample, *layer.blocks):
            if part is not None:
                part.input_resolution = (height // stride, width // stride)
    x = net.patch_embed(pixels)
    for layer in net.layers:
        x = layer(x)
    return net.neck(x.view(1, height // 16, width // 16, -1).permute(0, 3, 1, 2))


@pytest.mark.parametrize("size", [(128, 128), (96, 160), (240, 16)])
def test_the_encoder_is_the_published_one_at_any_size(published, size):
    pixels = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    found, wanted = TinyEncoder(published)(pixels), as_published(published, pixels)
    assert found.shape == (1, 256, size[0] // 16, size[1] // 16)
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=1e-3)
    assert wanted.std() > 0.1


def test_low_precision_is_near(published):
    pixels = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    fine, coarse = TinyEncoder(published)(pixels), TinyEncoder(published, torch.bfloat16)(pixels)
    assert coarse.dtype == torch.float32
    assert 1e-5 < (fine - coarse).norm() / fine.norm() < 0.1


@pytest.fixture(scope="module")
def checkpoint():
    try:
        return weights.require("mobile-sam")
    except EnvironmentProblem as problem:
        pytest.skip(f"MobileSAM is not on this machine: {problem}")


@pytest.mark.parametrize("turned", [False, True], ids=["wide", "tall"])
def test_quick_masks_show_the_things(checkpoint, turned):
    y, x = np.mgrid[:96, :128]
    box = np.zeros((96, 128), bool)
    box[55:85, 70:115] = True
    things, image = np.stack([box, (y - 30) ** 2 + (x - 35) ** 2 < 18**2]), picture()
    if turned:
        things, image = things.transpose(0, 2, 1), np.ascontiguousarray(image.transpose(1, 0, 2))
    quick = QuickSam(checkpoint, SegmentSettings(points_per_side=6, min_area_px=30), 512)
    segments = quick.segment(image)
    check_segments(segments)
    visible = np.stack([mask_of(segments, row) for row in range(len(segments.levels))])
    assert (best_iou(things, visible) > 0.85).all()
    assert quick.provenance["side"] == 512


def test_its_masks_have_keys_of_their_own():
    specs = ("mobile-sam", "mobile-sam-quick", "mobile-sam-quick:512")
    plain, quick, small = (segmenter_identity(spec) for spec in specs)
    assert (quick["side"], small["side"]) == (768, 512)
    assert quick["precision"] in ("bfloat16", "float32")
    assert quick == segmenter_identity("mobile-sam-quick:768")
    assert set(plain) == {"segmenter", "version", "settings", "weights"}  # as in caches written before


@pytest.mark.parametrize("side", ["512px", "100", "4096", "-768", "99999999999999999999"])
def test_other_sides_are_refused(side):
    with pytest.raises(SettingsError, match="256 to 1024"):
        segmenter_identity(f"mobile-sam-quick:{side}")
