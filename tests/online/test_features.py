"""What live features are made with, by what the processor can do."""

from __future__ import annotations

import pytest
import torch

from langfield.online import features
from langfield.segment import SEGMENTERS
from langfield.stages import needed_weights
from langfield.suite import IMAGE_ENCODERS


@pytest.mark.parametrize(("dtype", "tower"), [(torch.bfloat16, "bf16"), (torch.float32, "torch")])
def test_quick_features_follow_the_processor(monkeypatch, dtype, tower):
    monkeypatch.setattr(features, "quick_dtype", lambda: dtype)
    settings = features.quick_settings()
    assert settings.image_encoder == f"openai-vit-b16-{tower}"
    assert settings.image_encoder in IMAGE_ENCODERS
    assert settings.segmenter in SEGMENTERS
    assert needed_weights(settings) == ["mobile-sam", "openai-vit-b16-int8"]
