"""The two towers over one set of weights, and the quick forward pass against open_clip's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from langfield.errors import FormatError, SettingsError
from langfield.suite import image_encoder, text_encoder
from langfield.suite.preprocess import clip_pixels
from langfield.suite.vit import encode_pixels, from_state

from .conftest import stored


def test_quick_forward_equals_open_clips_tower():
    """Random weights of a small tower: the same architecture, none of the size."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    torch.manual_seed(0)
    slow = VisionTransformer(32, 8, 48, 3, 4, 2.0, output_dim=10, act_layer=QuickGELU).eval()
    pixels = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            encode_pixels(from_state(slow.state_dict(), 4), pixels), slow(pixels), rtol=1e-4, atol=1e-5
        )


def test_towers_agree_as_far_as_8_bits_allow(tower, picture):
    from langfield.suite.onnx_tower import OnnxTower

    other = OnnxTower(stored("openai-vit-b16-int8"))
    ours, theirs = tower.encode_images([picture]), other.encode_images([picture])
    assert 0.93 < float((ours * theirs).sum()) < 0.995
    torch.testing.assert_close(theirs.norm(dim=1), torch.ones(1))
    assert other.provenance["sha256"] == tower.provenance["sha256"]


def test_one_by_one_equals_a_batch_and_vectors_are_unit(tower, picture):
    images = [picture, picture[:, ::-1], picture[40:200, 60:140]]
    together = tower.encode_images(images)
    torch.testing.assert_close(together[2:], tower.encode_images(images[2:]), atol=1e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    assert float((together[0] * together[2]).sum()) < 0.97
    assert tower.encode_images([]).shape == (0, 512)


def test_the_module_is_the_same_tower_and_has_gradients(tower, picture):
    pixels = clip_pixels([picture]).requires_grad_()
    vector = F.normalize(tower.module()(pixels), dim=1)
    torch.testing.assert_close(vector.detach(), tower.encode_images([picture]), atol=1e-5, rtol=0)
    vector[0, 0].backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().max()) > 0


def test_bfloat16_gives_nearly_the_same_vectors(tower, picture):
    from langfield.suite.bf16_tower import Bf16Tower

    images = [picture, picture[40:200, 60:140]]
    ours = Bf16Tower(stored("openai-vit-b16-int8")).encode_images(images)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.norm(dim=1), torch.ones(2))
    cosine = (ours * tower.encode_images(images)).sum(dim=1)
    assert cosine.min() > 0.999
    assert cosine.max() < 1 - 1e-7  # it is another precision, not the same tower under another name


def test_pictures_that_are_none_are_refused():
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(FormatError, match="picture 0 is not uint8 RGB"):
            clip_pixels([bad])


def test_unknown_encoders_are_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="openai-vit-b16-torch"):
        image_encoder("clip")
    with pytest.raises(SettingsError, match="bridge-minilm-b16"):
        text_encoder("clip")
    with pytest.raises(SettingsError, match="openclip:MODEL/TAG"):
        text_encoder("openclip:ViT-B-16")


def test_batches_side_by_side_give_the_same_bits():
    from open_clip.transformer import QuickGELU, VisionTransformer

    from langfield.suite.torch_tower import TorchTower

    torch.manual_seed(0)
    small = VisionTransformer(224, 32, 48, 2, 4, 2.0, output_dim=10, act_layer=QuickGELU).eval()
    tower = object.__new__(TorchTower)
    tower._vit, tower._device = from_state(small.state_dict(), 4), torch.device("cpu")
    images = list(np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), np.uint8))
    before = torch.get_num_threads()
    try:
        found = [(torch.set_num_threads(n), tower.encode_images(images))[1] for n in (1, 2, 3)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    torch.testing.assert_close(found[0][19:], tower.encode_images(images[19:]), atol=1e-5, rtol=0)
