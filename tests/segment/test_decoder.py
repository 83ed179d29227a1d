"""The shared-image decoder against SAM's own, on a randomly filled model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from langfield.segment.decoder import PointDecoder
from langfield.segment.workers import single_threaded

GRID = (10, 12)
POINTS = torch.tensor([[3.0, 5.0], [100.5, 40.0], [191.0, 159.0]])


class TinySam(torch.nn.Module):
    """SAM's decoder and prompt encoder at full width over a small grid, without an image encoder."""

    def __init__(self) -> None:
        super().__init__()
        from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

        width = 64
        transformer = TwoWayTransformer(depth=2, embedding_dim=width, mlp_dim=96, num_heads=4)
        self.mask_decoder = MaskDecoder(transformer_dim=width, transformer=transformer, iou_head_hidden_dim=32)
        self.prompt_encoder = PromptEncoder(width, GRID, (GRID[0] * 16, GRID[1] * 16), mask_in_chans=16)


@pytest.fixture(scope="module")
def tiny() -> Any:
    torch.manual_seed(3)
    model = TinySam().eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases start at 1 and 0, which would hide mistakes with them
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def stock(model: Any, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sparse, dense = model.prompt_encoder((POINTS[:, None], torch.ones(len(POINTS), 1)), None, None)
    return model.mask_decoder(features, model.prompt_encoder.get_dense_pe(), sparse, dense, True)


@pytest.fixture(scope="module")
def features() -> torch.Tensor:
    return torch.randn(1, 64, *GRID, generator=torch.Generator().manual_seed(5))


def test_equals_the_stock_decoder(tiny, features):
    decoder = PointDecoder(tiny)
    image = decoder.image_side(features)
    tokens, pixels = decoder.attend(image, decoder.prompt_tokens(POINTS))
    masks, quality = stock(tiny, features)
    assert (decoder.quality(tokens) - quality).abs().max() < 1e-4
    assert (decoder.masks(tokens, pixels, image.grid, GRID) - masks).abs().max() < 1e-4
    assert masks.std() > 0.01  # not a comparison of nothing with nothing


def test_part_of_the_grid_is_that_part_of_the_masks(tiny, features):
    decoder = PointDecoder(tiny)
    image = decoder.image_side(features)
    tokens, pixels = decoder.attend(image, decoder.prompt_tokens(POINTS))
    masks, _ = stock(tiny, features)
    part = decoder.masks(tokens, pixels, image.grid, (7, 9))
    assert part.shape == (3, 3, 28, 36)
    assert (part - masks[..., :28, :36]).abs().max() < 1e-4


def test_batches_do_not_matter(tiny, features):
    decoder = PointDecoder(tiny)
    image = decoder.image_side(features)
    together, _ = decoder.attend(image, decoder.prompt_tokens(POINTS))
    alone = torch.cat([decoder.attend(image, decoder.prompt_tokens(point[None]))[0] for point in POINTS])
    assert torch.allclose(together, alone, atol=1e-5)


def test_pool_threads_use_one_core_and_leave_the_count_alone():
    before = torch.get_num_threads()
    with single_threaded() as pool:
        assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
    assert torch.get_num_threads() == before
