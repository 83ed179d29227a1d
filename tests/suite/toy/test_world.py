"""The toy world: scenes keep their promises, masks are what is painted, captions are true by another reader."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from langfield.errors import SettingsError
from langfield.suite.toy.captions import STYLES, caption, long_caption, say, say_german
from langfield.suite.toy.claims import (
    Claim,
    Phrase,
    false_claims,
    swap_attributes,
    swap_roles,
    true_claim,
    turn_relation,
)
from langfield.suite.toy.draw import boxes, draw, floor
from langfield.suite.toy.scenes import SIDE_PX, Scene, Thing, make_scene, relation
from langfield.suite.toy.tokenizer import ToyTokenizer
from langfield.suite.toy.words import COLOURS, SHAPES, TEMPLATES, UNSEEN_TEMPLATES, UNTAUGHT_SHAPES

SCENES = [make_scene(seed) for seed in range(150)]
PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom"}


def reads_true(text: str, scene: Scene) -> bool:
    """Whether an English sentence is true, read word by word from the text and the coordinates alone."""
    for sentence in text.split("."):
        if sentence.strip() and not sentence_true(sentence.strip(), scene.things):
            return False
    return True


def sentence_true(sentence: str, things: Sequence[Thing]) -> bool:
    sentence = re.sub(r"^(a photo of|a picture of|an image of|there is) ", "", sentence)
    parts = re.split(r" (left of|right of|above|below|and) (?=an? )", sentence)
    fits = [[phrase_fits(part, thing) for thing in things] for part in parts[::2]]
    if len(parts) == 1:
        return any(fits[0])
    pairs = [(a, b) for i, a in enumerate(things) for j, b in enumerate(things) if i != j and fits[0][i] and fits[1][j]]
    return any(lies(parts[1], a, b) for a, b in pairs)


def phrase_fits(phrase: str, thing: Thing) -> bool:
    for place, words in {**PLACES, "middle": "in the middle"}.items():
        if phrase.endswith(words):
            phrase = phrase.removesuffix(words)
            if not in_place(place, thing):
                return False
    phrase = phrase.replace("with stripes", "striped").replace("with dots", "dotted").replace("of one colour", "plain")
    words = set(phrase.split()) - {"a", "an", "which", "is", "and", "thing", "object", "shape"}
    return words <= {thing.shape, thing.colour, thing.texture, thing.size}


def in_place(place: str, thing: Thing) -> bool:
    x, y = thing.x - 32, thing.y - 32
    if abs(x) < 8 and abs(y) < 8:
        return place == "middle"
    toward = {"left": -x, "right": x, "top": -y, "bottom": y}
    return place != "middle" and toward[place] == max(toward.values())


def lies(word: str, a: Thing, b: Thing) -> bool:
    toward = {"left of": b.x - a.x, "right of": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}
    return word == "and" or toward[word] == max(toward.values())


def test_a_seed_gives_one_scene_and_one_picture():
    for seed in (0, 7, 2_000_000):
        first, again = make_scene(seed), make_scene(seed)
        assert first == again
        assert (draw(first).picture == draw(again).picture).all()
        assert caption(first) == caption(again)
    assert len({make_scene(seed) for seed in range(50)}) == 50


@pytest.mark.parametrize("scene", SCENES[::5], ids=lambda s: str(s.seed))
def test_things_differ_lie_inside_and_do_not_touch(scene: Scene):
    things = scene.things
    assert len({t.shape for t in things}) == len({t.colour for t in things}) == len(things)
    for i, a in enumerate(things):
        assert a.radius < a.x < SIDE_PX - a.radius
        assert a.radius < a.y < SIDE_PX - a.radius
        for b in things[i + 1 :]:
            assert np.hypot(a.x - b.x, a.y - b.y) > a.radius + b.radius
            assert abs(abs(a.x - b.x) - abs(a.y - b.y)) >= 4


def test_counts_and_shapes_can_be_asked_for():
    assert {len(make_scene(seed).things) for seed in range(30)} == {1, 2, 3}
    assert {make_scene(seed, 1, UNTAUGHT_SHAPES).things[0].shape for seed in range(12)} == set(UNTAUGHT_SHAPES)
    assert not {t.shape for scene in SCENES for t in scene.things} & set(UNTAUGHT_SHAPES)
    with pytest.raises(SettingsError):
        make_scene(0, 3, UNTAUGHT_SHAPES)
    with pytest.raises(SettingsError):
        make_scene(0, 1, ("teapot",))


def test_masks_are_what_is_painted():
    for scene in SCENES[:60]:
        drawn, bare = draw(scene), np.rint(floor(scene.seed))
        changed = abs(drawn.picture.astype(int) - bare).max(2) > 0
        inside = drawn.ids >= 0
        assert not (inside & ~changed).sum() > 0.02 * inside.sum()  # a thing may by chance have the floor's colour
        assert not (changed > binary_dilation(inside, iterations=3)).any()  # only soft edges and thin tips
        assert (changed & ~inside).sum() < 0.5 * inside.sum() + 60


def test_things_are_painted_in_their_colour_and_where_they_lie():
    for scene in SCENES[:60]:
        drawn = draw(scene)
        frames = boxes(drawn, len(scene.things))
        for i, thing in enumerate(scene.things):
            seen = drawn.picture[drawn.ids == i].astype(int)
            near = abs(seen - np.asarray(COLOURS[thing.colour])).max(1) <= 1
            assert near.mean() > (0.25 if thing.texture != "plain" else 0.55)
            left, top, right, bottom = frames[i]
            assert 2 * thing.radius + 2 >= max(right - left, bottom - top) >= thing.radius
            assert abs((left + right) / 2 - thing.x) < 0.3 * thing.radius + 1
            y, x = np.nonzero(drawn.ids == i)
            assert (x.min(), y.min(), x.max() + 1, y.max() + 1) == (left, top, right, bottom)


def test_shapes_look_different():
    masks = {}
    for shape in (*SHAPES, *UNTAUGHT_SHAPES):
        thing = Thing(shape, "red", "plain", "big", 32, 32, 13)
        masks[shape] = draw(Scene((thing,), 0)).ids == 0
    for a, one in masks.items():
        for b, other in masks.items():
            if a < b:
                assert (one & other).sum() / (one | other).sum() < 0.86, (a, b)


def test_captions_are_true_and_their_false_variants_false():
    for scene in SCENES:
        said = caption(scene)
        for text in (said.short, said.long, *said.rewrites):
            assert reads_true(text, scene), text
        for text in (said.negative, said.attributes_swapped, said.roles_swapped):
            assert text is None or not reads_true(text, scene), text
        assert (said.attributes_swapped is None) == (len(scene.things) == 1) == (said.roles_swapped is None)
        assert len({said.short, *said.rewrites}) == 1 + len(said.rewrites)


def test_swaps_keep_the_words_and_only_exchange_them():
    for scene in SCENES:
        said = caption(scene)
        for text in (said.attributes_swapped, said.roles_swapped):
            if text is not None:
                assert text != said.short
                assert sorted(re.sub(r"\ban\b", "a", text).split()) == sorted(
                    re.sub(r"\ban\b", "a", said.short).split()
                )


def test_drawn_claims_hold_by_another_reader_in_every_style():
    rng = np.random.default_rng(0)
    for scene in SCENES:
        claim = true_claim(scene, rng)
        for style in STYLES:
            for template in TEMPLATES:
                assert reads_true(say(claim, style, template), scene)
        for other in false_claims(claim, scene, rng, 3):
            assert not other.holds(scene)
            assert not reads_true(say(other, "which"), scene)
        turned = turn_relation(claim)
        assert turned is None or reads_true(say(turned), scene) == turned.holds(scene)


def test_exchanging_twice_changes_nothing():
    rng = np.random.default_rng(1)
    for scene in SCENES:
        claim = true_claim(scene, rng, pair=True)
        for swap in (swap_attributes, swap_roles):
            once = swap(claim)
            assert once is None or swap(once) == claim


def test_relations_are_opposite():
    for scene in SCENES:
        for a in scene.things:
            for b in scene.things:
                if a is not b:
                    pair = {relation(a, b), relation(b, a)}
                    assert pair in ({"left of", "right of"}, {"above", "below"})


def test_german_says_the_same():
    scene = Scene(
        (Thing("diamond", "green", "striped", "big", 15, 30, 12), Thing("star", "red", "plain", "small", 50, 32, 8)), 0
    )
    assert caption(scene).german == "eine grüne raute links von einem roten stern"
    assert say_german(true_claim(scene, np.random.default_rng(0), pair=False)).split()[0] in ("ein", "eine")


def test_every_word_has_an_id_and_reads_back():
    tokenizer = ToyTokenizer()
    for scene in SCENES:
        said = caption(scene)
        texts = [said.short, said.long, said.german, said.negative, *said.rewrites]
        texts += [form.format(said.short) for form in UNSEEN_TEMPLATES]
        for text in texts:
            ids = tokenizer.encode(text)
            assert 1 not in ids, text
            assert tokenizer.decode(ids) == text.replace(".", "")
    assert tokenizer.encode("A Red teapot!") == tokenizer.encode("a red xyzzy")


def test_token_rows_begin_end_and_are_cut():
    tokenizer = ToyTokenizer()
    rows = tokenizer(["red", long_caption(make_scene(3, 3)), ""])
    assert rows.shape == (3, 20)
    assert rows[0].tolist()[:3] == [tokenizer.sot_token_id, tokenizer.encoder["red"], tokenizer.eot_token_id]
    assert rows[1, -1] == tokenizer.eot_token_id == rows.max()
    assert rows[2].tolist()[:3] == [tokenizer.sot_token_id, tokenizer.eot_token_id, 0]
    assert tokenizer("red").shape == (1, 20)
    assert tokenizer(["red"], context_length=40).shape == (1, 40)


def test_two_phrases_need_two_things():
    thing, other = (
        Thing("square", "red", "plain", "big", 15, 30, 12),
        Thing("star", "blue", "plain", "small", 50, 32, 8),
    )
    both = Claim(Phrase(colour="red"), None, Phrase(shape="square"))
    assert not both.holds(Scene((thing, other), 0))
    assert both.holds(Scene((thing, replace(other, colour="red")), 0))
