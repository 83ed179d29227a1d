"""MaPLe: the ordinary prompt at its start, a naive tower with deep prompts, how much is learnt, and the model after."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from langfield.errors import SettingsError
from langfield.suite.model import ClipModel
from langfield.suite.teach.maple import Prompts, Settings, adapt, begin, fit
from langfield.suite.trainer import frozen
from tests.suite.contract.common import anatomy, task
from tests.suite.tiny_clip import pictures, tiny_clip

NAMES = ("red square", "blue circle", "star")


def attend(block: Any, state: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """One residual block, from its weights, head by head."""
    attn, normed = block.attn, block.ln_1(state)
    q, k, v = (normed @ attn.in_proj_weight.T + attn.in_proj_bias).chunk(3, dim=-1)
    heads, wide = attn.num_heads, attn.head_dim
    parts = []
    for h in range(heads):
        one = slice(h * wide, (h + 1) * wide)
        scores = q[:, one] @ k[:, one].T / wide**0.5
        parts.append(torch.softmax(scores if mask is None else scores + mask, dim=-1) @ v[:, one])
    state = state + attn.out_proj(torch.cat(parts, dim=1))
    return state + block.mlp(block.ln_2(state))


def by_hand(model: ClipModel, name: str, prompts: list[torch.Tensor]) -> torch.Tensor:
    """One text through the tower, layer by layer: the prompts stand where its first words stood."""
    ids = model.ids([f"a photo of a {name}"])[0]
    state = model.text.token_embedding(ids)
    state = torch.cat([state[:1], prompts[0], state[1 + len(prompts[0]) :]]) + model.text.positional_embedding
    for i, block in enumerate(model.text.transformer.resblocks):
        if 0 < i < len(prompts):
            state = torch.cat([state[:1], prompts[i], state[1 + len(prompts[i]) :]])
        state = attend(block, state, model.text.attn_mask)
    found = model.text.ln_final(state)[int(ids.argmax())] @ model.text.text_projection
    return found / found.norm()


def test_one_layer_begins_as_the_ordinary_prompt():
    model = tiny_clip()
    learner = Prompts(model, NAMES, Settings(depth=1))
    expected = model.encode_texts([f"a photo of a {name}" for name in NAMES])
    torch.testing.assert_close(learner().detach(), expected, rtol=0, atol=1e-6)


def test_deep_prompts_are_those_of_a_tower_run_by_hand():
    model, generator = tiny_clip(), torch.Generator().manual_seed(3)
    learner = Prompts(model, NAMES, Settings())
    with torch.no_grad():
        for prompt in learner.prompts:
            prompt.copy_(torch.randn(prompt.shape, generator=generator))
        found = learner()
        for row, name in zip(found, NAMES, strict=True):
            expected = by_hand(model, name, [p.detach() for p in learner.prompts])
            torch.testing.assert_close(row, expected, rtol=0, atol=1e-5)


def test_it_learns_as_many_numbers_as_the_paper_says():
    """Prompts of J layers and a linear map each: 3,555,072 for the widths 512 and 768, 2 words and 9 layers."""
    learner = Prompts(tiny_clip(), NAMES, Settings(), coupled=True)
    layers, words, text, image = 2, 2, 36, 48
    assert sum(p.numel() for p in learner.parameters()) == layers * (words * text + text * image + image)
    assert 9 * (2 * 512 + 512 * 768 + 768) == 3_555_072


def test_pictures_get_linear_images_of_the_words_and_gradient_reaches_all():
    model = tiny_clip()
    given = task(encoder=model.encode_texts)
    head, prompts = adapt(given, pictures(len(given.labels)), model, Settings(steps=3))
    assert dict(head.about)["prompts in"] == "text and pictures"
    seen = []
    blocks = model.visual.transformer.resblocks
    with prompts.attach(), torch.no_grad():
        handles = [b.register_forward_pre_hook(lambda _, i: seen.append(i[0][0, -2:])) for b in blocks]
        model.image_vectors(model.pixels(pictures()))
    for handle in handles:
        handle.remove()
    for layer in range(2):
        couple: Any = prompts.couples[layer]
        expected = prompts.prompts[layer] @ couple.weight.T + couple.bias
        torch.testing.assert_close(seen[layer], expected.detach(), rtol=0, atol=1e-5)
    for parameter in prompts.parameters():
        parameter.requires_grad_(True)
    with frozen(model.module):
        (prompts.images(model.pixels(pictures())).sum() + prompts().sum()).backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in prompts.parameters())


def test_the_model_is_as_it_was_after_pictures_too():
    model = tiny_clip()
    given = task(encoder=model.encode_texts)
    before, vectors = anatomy(model), model.encode_images(pictures())
    one = adapt(given, pictures(len(given.labels)), model, Settings(steps=2))[0]
    assert anatomy(model) == before
    assert torch.equal(model.encode_images(pictures()), vectors)
    other = adapt(given, pictures(len(given.labels)), model, Settings(steps=2))[0]
    assert torch.equal(one.weight, other.weight)


def test_what_it_needs():
    given = task()
    with pytest.raises(SettingsError, match="needs a model"):
        fit(given)
    with pytest.raises(SettingsError, match="say more words"):
        begin(given, tiny_clip(), Settings(words=5))
