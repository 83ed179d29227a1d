"""Long-CLIP: the stretch against its loops, short texts to the bit, and what was cut off before."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.encode.long_clip import Settings, first_sentence, kept, long_loss, modify, stretch
from langfield.suite.objectives import contrastive
from langfield.suite.text_tuning import TextTower
from langfield.suite.tuning import LONG, TuneSettings, begin
from tests.suite.contract.common import anatomy, unit
from tests.suite.tiny_clip import pictures, tiny_clip


def by_loops(old: list[list[float]], keep: int, factor: int) -> list[list[float]]:
    """As the paper describes it, a number at a time."""
    rows = [list(row) for row in old[:keep]]
    for i in range(keep, len(old)):
        for k in range(factor):
            if i + 1 < len(old):
                step = [b - a for a, b in zip(old[i], old[i + 1], strict=True)]
            else:
                step = [b - a for a, b in zip(old[i - 1], old[i], strict=True)]
            rows.append([a + k / factor * s for a, s in zip(old[i], step, strict=True)])
    return rows


@pytest.mark.parametrize(("keep", "factor"), [(20, 4), (0, 3), (75, 2), (20, 1)])
def test_the_stretch_against_its_loops(keep, factor):
    old = torch.randn(77, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = stretch(old, keep, factor)
    assert len(found) == keep + factor * (77 - keep)
    torch.testing.assert_close(found, torch.tensor(by_loops(old.tolist(), keep, factor), dtype=torch.float64))
    assert torch.equal(found[:keep], old[:keep])
    assert torch.equal(found[keep::factor], old[keep:])


def test_the_papers_numbers():
    assert len(stretch(torch.zeros(77, 2), 20, 4)) == 248


def test_short_texts_keep_their_vectors_to_the_bit():
    """Twelve positions, three of which stay: begin, one word, end."""
    model = tiny_clip()
    before = model.encode_texts(["mug", "globe"])
    at_length = model.text_vectors(model.ids(["mug", "globe"])).detach()
    assert torch.equal(before, at_length)
    modify(model)
    assert model.context_length == 3 + 4 * 9
    ids = model.ids(["mug", "globe"])[:, :12]
    short = model.text_from_embeddings(model.token_embeddings(ids), model.text_ends(ids)).detach()
    assert torch.equal(short, before)
    torch.testing.assert_close(model.encode_texts(["mug", "globe"]), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_effect_what_follows_the_old_limit_counts(seed):
    model = tiny_clip(seed)
    start = " ".join(["mug"] * 11)
    texts = [f"{start} globe", f"{start} teapot"]
    assert torch.equal(*model.encode_texts(texts).split(1))
    change = modify(model)
    one, other = model.encode_texts(texts)
    assert float((one - other).norm()) > 1e-3
    change.remove()
    assert torch.equal(*model.encode_texts(texts).split(1))


def test_the_loss_is_of_whole_pictures_and_of_their_main_components():
    g = torch.Generator().manual_seed(0)
    images, longs, shorts = (normalize(torch.randn(6, 16, generator=g), dim=-1) for _ in range(3))
    terms = long_loss(images, longs, shorts, 5.0, rank=2)
    torch.testing.assert_close(terms["long"], contrastive(images, longs, 5.0, smoothing=0.1))
    left, values, right = torch.linalg.svd((images - images.mean(0)).double())
    coarse = left[:, :2] @ torch.diag(values[:2]) @ right[:2] + images.double().mean(0)
    torch.testing.assert_close(terms["short"], contrastive(coarse.float(), shorts, 5.0, smoothing=0.1))
    whole = long_loss(images, longs, longs, 5.0, rank=32)
    torch.testing.assert_close(whole["long"], whole["short"])


def pairs(count: int = 6) -> Pairs:
    longs = [f"{word} " * 14 + f". {word} again" for word in ("mug", "globe", "teapot", "vase", "book", "lamp")]
    said = tuple((Caption(text, "long"), *([Caption("short", "short")] if i else [])) for i, text in enumerate(longs))
    return Pairs(said[:count], vectors=unit(0, count))


@pytest.mark.parametrize("layout", ["CLIP", "CustomTextCLIP"])
def test_training_moves_the_text_tower_alone_and_comes_off_bit_for_bit(layout):
    model = tiny_clip(layout=layout)
    before, images, texts = anatomy(model), model.encode_images(pictures()), ["mug", "a globe"]
    plain, first = model.encode_texts(texts), model.text.positional_embedding[:3].clone()
    keep = kept(Settings(), model.context_length)
    change = modify(model)
    learner = TextTower(model, keep)
    begin(learner, pairs(), LONG, TuneSettings(steps=3, lr=1e-2)).run()
    change.add(learner.put())
    assert model.context_length == 3 + 4 * 9
    assert torch.equal(model.encode_images(pictures()), images)
    assert torch.equal(model.text.positional_embedding[:3], first), "the first positions do not move"
    assert float((model.encode_texts(texts) - plain).norm()) > 1e-2
    assert all(not p.requires_grad for p in [model.text.positional_embedding])
    change.remove()
    assert anatomy(model) == before
    assert torch.equal(model.encode_texts(texts), plain)


def test_it_learns_what_the_loss_says_and_reaches_every_weight():
    model = tiny_clip()
    modify(model)
    learner, given = TextTower(model, 3), pairs()
    training = begin(learner, given, LONG)
    terms = training.objective(torch.arange(6))
    longs = model.encode_texts([given.of(i, "long")[0].text for i in range(6)])
    shorts = model.encode_texts(["mug " * 14 + ".", *["short"] * 5])
    assert given.vectors is not None
    expected = long_loss(given.vectors, longs, shorts, model.logit_scale)
    for name, term in terms.items():
        torch.testing.assert_close(term.detach(), expected[name], rtol=0, atol=1e-5)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in learner.parameters())
    with pytest.raises(SettingsError, match="nothing to learn from"):
        begin(learner, Pairs(((Caption("mug"),),), vectors=unit(0, 1)), LONG).run()


def test_first_sentences_and_settings_that_do_not_fit():
    assert first_sentence("A red mug. It is on a table. Old") == "A red mug."
    assert first_sentence("a red mug") == "a red mug"
    for settings in (Settings(factor=0), Settings(keep=11), Settings(keep=-1)):
        with pytest.raises(SettingsError, match="keep 0 to 10"):
            modify(tiny_clip(), settings)
