"""What the toy CLIPs learn from: lessons as the scenes say, no false negatives, losses by their formulas."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from langfield.errors import SettingsError
from langfield.suite.toy.captions import say
from langfield.suite.toy.claims import Claim, false_claims, named, true_claim
from langfield.suite.toy.draw import draw
from langfield.suite.toy.lessons import claim_row, make_lessons, true_of
from langfield.suite.toy.model import build
from langfield.suite.toy.scenes import make_scene
from langfield.suite.toy.tokenizer import ToyTokenizer
from langfield.suite.toy.train import Batch, Recipe, draw_batch, matched, shuffled, toy_loss, train_toy

SEEDS = range(500, 540)


@pytest.fixture(scope="module")
def lessons():
    return make_lessons(SEEDS)


def test_lessons_say_what_the_scenes_are(lessons):
    tokenizer = ToyTokenizer()
    for row, seed in enumerate(SEEDS):
        scene = make_scene(seed)
        drawn = draw(scene)
        assert (lessons.pictures[row].numpy() == drawn.picture).all()
        for i, thing in enumerate(scene.things):
            for patch in (0, 17, 36, 63):
                y, x = 8 * (patch // 8), 8 * (patch % 8)
                share = (drawn.ids[y : y + 8, x : x + 8] == i).mean()
                assert float(lessons.cover[row, i, patch]) == pytest.approx(share)
            words = tokenizer.decode(lessons.names[row, i, 1:].tolist()).replace(" <pad>", "")
            assert words == say(Claim(named(thing))) + " <end_of_text>"


def test_two_processes_draw_the_same_lessons(lessons):
    again = make_lessons(range(500, 508), workers=2)
    for one, other in zip(vars(lessons).values(), vars(again).values(), strict=True):
        assert torch.equal(one[:8], other)


def test_truth_of_many_is_truth_of_each(lessons):
    rng = np.random.default_rng(0)
    scenes = [make_scene(seed) for seed in SEEDS]
    claims = [true_claim(scene, rng) for scene in scenes]
    claims += [claim for scene, own in zip(scenes, claims, strict=True) for claim in false_claims(own, scene, rng)]
    rows = torch.tensor([claim_row(claim) for claim in claims])
    found = true_of(rows, lessons.things, lessons.relations)
    assert found.tolist() == [[claim.holds(scene) for scene in scenes] for claim in claims]
    assert 0.03 < found.float().mean() < 0.5


def test_a_caption_true_of_another_picture_is_no_negative_there():
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    also = torch.zeros(4, 4, dtype=torch.bool)
    also[2, 0] = True  # text 2 is true of image 0
    own = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    total = 0.0
    for i in range(4):
        columns = [float(logits[i, t]) for t in range(4) if not (i == 0 and t == 2)] + own[i].tolist()
        total += math.log(sum(map(math.exp, columns))) - float(logits[i, i])
        rows = [float(logits[j, i]) for j in range(4) if not (j == 0 and i == 2)]
        total += math.log(sum(map(math.exp, rows))) - float(logits[i, i])
    assert float(matched(logits, also, own)) == pytest.approx(total / 8)


def test_alone_and_tied_the_loss_is_log_two():
    assert float(matched(torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool))) == pytest.approx(math.log(2))


def test_shuffling_keeps_words_begin_and_end():
    tokenizer = ToyTokenizer()
    texts = tokenizer(["a red square left of a big blue circle"] * 50 + ["red", ""])
    mixed = shuffled(texts, torch.Generator().manual_seed(0))
    assert torch.equal(mixed.sort(1).values, texts.sort(1).values)
    assert torch.equal(mixed[:, 0], texts[:, 0])
    assert torch.equal(mixed == tokenizer.eot_token_id, texts == tokenizer.eot_token_id)
    assert torch.equal(mixed[-2:], texts[-2:])
    assert len({tuple(row) for row in mixed[:50].tolist()}) > 45


def test_batches_hold_their_own_captions(lessons):
    for name in ("good", "bag", "dense"):
        batch = draw_batch(name, lessons, 64, torch.Generator().manual_seed(0))
        assert not batch.also.diagonal().any()
        assert batch.also.any()
        assert batch.pixels.shape == (64, 3, 64, 64)
        assert batch.pixels.min() >= -2.01
        assert batch.pixels.max() <= 2.01


@pytest.mark.parametrize("name", ["good", "bag", "dense"])
def test_training_follows_its_seed_and_learns(lessons, name: str):
    recipe = Recipe(steps=3, batch=8, warm_up=1)
    batch = draw_batch(name, lessons, 8, torch.Generator().manual_seed(recipe.seed))  # the first one trained on
    once, again = (train_toy(name, lessons, recipe)[0] for _ in range(2))
    for one, other in zip(once.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    assert loss_of(name, once, batch) < loss_of(name, train_toy(name, lessons, Recipe(steps=0))[0], batch) - 0.02


def loss_of(name: str, model: Any, batch: Batch) -> float:
    model.visual.output_tokens = True
    with torch.no_grad():
        return float(toy_loss(name, model, batch, 0.5))


def test_time_that_is_up_ends_training_with_what_there_is(lessons):
    untouched, steps = train_toy("dense", lessons, Recipe(steps=5, batch=8), stop_s=1e-9)
    assert steps == 0
    for one, other in zip(untouched.parameters(), build(0).parameters(), strict=True):
        assert torch.equal(one, other)


def test_only_the_three_can_be_trained(lessons):
    with pytest.raises(SettingsError):
        train_toy("fourth", lessons)


def test_patches_of_a_thing_are_pooled_by_how_much_they_show(lessons):
    batch = draw_batch("good", lessons, 8, torch.Generator().manual_seed(0))
    model: Any = train_toy("good", lessons, Recipe(steps=0))[0]
    model.visual.output_tokens = True
    with torch.no_grad():
        without, full = (float(toy_loss("good", model, batch, weight)) for weight in (0.0, 1.0))
        _, tokens = model.visual(batch.pixels)
        cover = batch.lessons.cover
        parts, names = [], []
        for i in range(8):
            biggest = int(cover[i].sum(1).argmax())
            parts.append(sum(float(cover[i, biggest, p]) * (tokens[i, p] @ model.visual.proj) for p in range(64)))
            names.append(model.encode_text(batch.lessons.names[i, biggest][None].long())[0])
        logits = (
            model.logit_scale.exp() * F.normalize(torch.stack(parts), dim=1) @ F.normalize(torch.stack(names), dim=1).T
        )
        looks = [tuple(batch.lessons.things[i, int(cover[i].sum(1).argmax()), :2].tolist()) for i in range(8)]
        also = torch.tensor([[a == b and i != j for j, b in enumerate(looks)] for i, a in enumerate(looks)])
    assert full - without == pytest.approx(float(matched(logits, also)), abs=1e-4)
