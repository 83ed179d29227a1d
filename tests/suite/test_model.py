"""A ClipModel gives what open_clip gives, in one piece or in many."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.model import ClipModel, Parts
from langfield.suite.spec import clip_model, modify
from tests.blobs import DIM as BLOB_DIM
from tests.blobs import Words
from tests.suite.tiny_clip import DIM, pictures, pixels, tiny_clip, tokenize

TEXTS = ["a red mug", "mug", "the globe left of a very big teapot on the table"]


@pytest.fixture(params=["CLIP", "CustomTextCLIP"])
def model(request: pytest.FixtureRequest) -> ClipModel:
    return tiny_clip(layout=request.param)


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


def test_encoders_give_what_open_clip_gives(model):
    module = model.module
    with torch.no_grad():
        close(model.encode_images(pictures()), module.encode_image(pixels(pictures()), normalize=True))
        close(model.encode_texts(TEXTS), module.encode_text(tokenize(TEXTS), normalize=True))
    assert model.logit_scale == pytest.approx(float(module.logit_scale.detach().exp()))
    assert model.has_text_tower
    assert model.context_length == 12
    assert model.encode_images([]).shape == model.encode_texts([]).shape == (0, DIM)


def test_one_by_one_equals_a_batch_and_vectors_are_unit(model):
    many = model.encode_images(pictures(20))
    close(many[17:18], model.encode_images(pictures(20)[17:18]))
    close(many.norm(dim=1), torch.ones(20))
    close(model.encode_texts(TEXTS)[1:2], model.encode_texts(TEXTS[1:2]))


@torch.no_grad()
def test_the_tail_goes_on_from_any_layer(model):
    whole, layers = model.encode_images(pictures()), [0, 1, 2, 3]
    states = model.image_tokens(pixels(pictures()), layers)
    assert states[0].shape == (3, 1 + 16, 48)
    for layer, state in zip(layers, states, strict=True):
        close(model.image_tail(state, layer), whole)
    close(model.image_tokens(pixels(pictures()), [-1])[0], states[3])
    close(states[2], model.visual.transformer.resblocks[1](states[1]))


@torch.no_grad()
def test_last_attention_is_what_the_last_block_uses(model):
    """Its values, weighed by it and put out by hand, are the block's attention output."""
    before = model.image_tokens(pixels(pictures()), [2])[0]
    found, block = model.image_attention(pixels(pictures())), model.visual.transformer.resblocks[2]
    assert found.shape == (3, 3, 17, 17)
    close(found.sum(-1), torch.ones(3, 3, 17))
    normed = block.ln_1(before)
    values = normed @ block.attn.in_proj_weight[96:].T + block.attn.in_proj_bias[96:]
    mixed = found @ values.unflatten(-1, (3, 16)).transpose(1, 2)
    by_hand = mixed.transpose(1, 2).flatten(2) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
    close(by_hand, block.attention(normed))


@torch.no_grad()
def test_patches_are_projected_as_the_class_token_is(model):
    state = model.image_tokens(pixels(pictures()))[0]
    found = model.image_patches(pixels(pictures()))
    assert found.shape == (3, 4, 4, DIM)
    by_hand = normalize(model.visual.ln_post(state[1, 6]) @ model.visual.proj, dim=0)
    close(found[1, 1, 1], by_hand)


@pytest.mark.parametrize("pool", ["argmax", "eos", "first", "last"])
@pytest.mark.parametrize("layout", ["CLIP", "CustomTextCLIP"])
def test_texts_from_token_embeddings(layout, pool):
    model = tiny_clip(layout=layout, pool=pool)
    ids = model.ids(TEXTS)
    embeddings = model.token_embeddings(ids)
    with torch.no_grad():
        close(model.text_from_embeddings(embeddings, model.text_ends(ids)), model.encode_texts(TEXTS))
        short = int(model.text_ends(ids)[1]) + 1  # nothing after the end token counts in a causal tower
        cut = model.text_from_embeddings(embeddings[1:2, :short], torch.tensor([model.text_ends(ids)[1]]))
        close(cut, model.encode_texts(TEXTS[1:2]))
    vectors = model.text_from_embeddings(embeddings, model.text_ends(ids))
    vectors[0, 0].backward()
    assert model.text.token_embedding.weight.grad.abs().sum() > 0


def test_a_tower_with_an_encoder_of_words():
    module = nn.Module()
    module.visual = tiny_clip().visual
    model = ClipModel("pair", Parts(module, pixels, None, Words(), {}), BLOB_DIM)
    close(model.encode_texts(["ball"]), Words().encode_texts(["ball"]))
    assert not model.has_text_tower
    assert model.logit_scale == 100
    for call in (lambda: model.text, lambda: model.ids(["ball"]), lambda: model.token_embeddings(tokenize(["ball"]))):
        with pytest.raises(SettingsError, match="no text tower"):
            call()
    with pytest.raises(ValueError, match="text tower or an encoder"):
        ClipModel("none", Parts(module, pixels, None, None, {}), 4)


def test_towers_and_layers_that_are_not_there():
    model = tiny_clip()
    with pytest.raises(SettingsError, match="layers 0 to 3"):
        model.image_tokens(pixels(pictures()), [4])
    model.module.visual = nn.Flatten()
    with pytest.raises(SettingsError, match="cannot be taken apart"):
        model.image_tokens(pixels(pictures()))


def own() -> ClipModel:
    """What a spec of the form MODULE:NAME calls."""
    return tiny_clip(5)


def test_specs():
    assert clip_model("tests.suite.test_model:own").name == "tiny:CLIP/5"
    model = clip_model("tests.suite.test_model:own+context:20")
    assert (model.name, model.context_length) == ("tiny:CLIP/5+context:20", 20)
    plain = tiny_clip(5)
    change = modify(plain, "context:20")
    change.remove()
    assert (plain.name, plain.context_length) == ("tiny:CLIP/5", 12)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("xyz", "no model is called"),
        ("random:xyz", "open_clip has no model"),
        ("openclip:ViT-B-16", "openclip:MODEL/TAG"),
        ("tests.suite.test_model:own+xyz:1", "no change of a model"),
        ("tests.suite.test_model:own+context:7", "12 to"),
        ("tests.suite.test_model:pictures", "no model is called"),
    ],
)
def test_specs_that_mean_nothing(spec, message):
    with pytest.raises(SettingsError, match=message):
        clip_model(spec)


def test_an_untrained_model_by_name_comes_with_its_tokenizer_and_preprocessing(picture):
    model = clip_model("random:ViT-S-32-alt/1")
    ids = model.ids(["a red mug"])
    assert ids.shape == (1, 77)
    with torch.no_grad():
        close(model.text_from_embeddings(model.token_embeddings(ids), model.text_ends(ids)), model.text_vectors(ids))
    assert model.pixels([picture]).shape == (1, 3, 224, 224)
    close(model.encode_images([picture]).norm(dim=1), torch.ones(1))


def test_real_tower_with_the_bridge(tower, bridge, picture):
    model = clip_model("openai-vit-b16-torch")
    close(model.encode_images([picture]), tower.encode_images([picture]))
    close(model.encode_texts(["red mug"]), bridge.encode_texts(["red mug"]))
    assert model.image_patches(model.pixels([picture])).shape == (1, 14, 14, 512)
    assert not model.has_text_tower
