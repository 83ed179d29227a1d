"""Prompts at the entrance of blocks: what each block gets, and that nothing is left behind."""

from __future__ import annotations

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.deep_prompts import depth, in_pictures, in_words
from langfield.suite.surgery import hook
from tests.suite.contract.common import anatomy
from tests.suite.tiny_clip import pictures, tiny_clip


def drawn(count: int, width: int, layers: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(count, width, generator=generator) for _ in range(layers)]


@pytest.mark.parametrize("layout", ["CLIP", "CustomTextCLIP"])
def test_each_block_of_the_text_tower_gets_its_own_words(layout):
    model, entered = tiny_clip(layout=layout), []
    prompts = drawn(2, 36, 2)
    blocks = model.text.transformer.resblocks
    with in_words(model, prompts):
        watch = [hook(block, lambda _, inputs: entered.append(inputs[0]), before=True) for block in blocks]
        model.encode_texts(["a photo of mug", "one globe"])
        for change in watch:
            change.remove()
    assert len(entered) == 2
    assert not torch.equal(entered[0][0, 1:3], prompts[0]), "what enters the first block is the caller's"
    for state in entered[1]:
        assert torch.equal(state[1:3], prompts[1])


def test_pictures_get_them_behind_the_patches_and_leave_without():
    model, entered, left = tiny_clip(), [], []
    prompts = drawn(2, 48, 3)
    blocks = model.visual.transformer.resblocks
    plain = model.image_tokens(model.pixels(pictures()))[0]
    with in_pictures(model, prompts):
        watch = [hook(block, lambda _, inputs: entered.append(inputs[0]), before=True) for block in blocks]
        watch.append(hook(blocks[-1], lambda _, __, output: left.append(output)))
        vectors = model.image_vectors(model.pixels(pictures()))
        for change in watch:
            change.remove()
    assert [state.shape[1] for state in entered] == [plain.shape[1] + 2] * 3
    for state, prompt in zip(entered, prompts, strict=True):
        assert torch.equal(state[:, -2:], prompt.expand(3, -1, -1))
    assert left[0].shape == plain.shape
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert float((vectors.detach() - model.encode_images(pictures())).norm()) > 1e-3


def test_nothing_is_left_behind():
    model = tiny_clip()
    before = anatomy(model)
    with in_words(model, drawn(2, 36, 2)), in_pictures(model, drawn(1, 48, 2)):
        assert anatomy(model) != before
    assert anatomy(model) == before


def test_as_many_layers_as_there_are():
    model = tiny_clip()
    assert (depth(model, 9, pictures=False), depth(model, 1, pictures=True)) == (2, 1)
    with pytest.raises(SettingsError, match="fit no layer"):
        in_words(model, drawn(2, 36, 3))
