"""Whether a thing is there: fields that show some of many made-up names, where chance is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from langfield.codec import Identity
from langfield.errors import QueryError
from langfield.evaluate.absent import ABSENT_NAMES
from langfield.field.types import Field
from langfield.query import calibrate
from langfield.query.calibrate import Calibrator, deviations, norm_of_names, places_of, presence
from langfield.query.relevancy import Phrases
from langfield.query.vocabulary import COMMON_NAMES, Vocabulary, encode_vocabulary
from langfield.raster.types import Gaussians
from tests.blobs import DIM, Words, blob_gaussians

WIDTH, THINGS, EACH = 32, 12, 40


def some(count: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)), dim=-1)


def gaussians_at(centres: torch.Tensor) -> Gaussians:
    n = len(centres)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1)
    return Gaussians(centres, quats, torch.full((n, 3), -3.0), torch.full((n,), 2.0), torch.zeros(n, 1, 3))


NAMES = some(300, 1)
"""Texts; a picture of the first twelve is the text itself and as much of something that no text knows."""


def scene(seed: int = 2) -> Field:
    vectors = normalize(NAMES[:THINGS] + some(THINGS, seed), dim=-1)
    centres = torch.arange(THINGS).float()[:, None] * torch.tensor([1.0, 0.3, 0])
    generator = torch.Generator().manual_seed(seed)
    means = centres.repeat_interleave(EACH, 0) + 0.1 * torch.randn(THINGS * EACH, 3, generator=generator)
    return Field(gaussians_at(means), vectors.repeat_interleave(EACH, 0).repeat(3, 1, 1), Identity(WIDTH), {})


def question(positives: torch.Tensor, canonicals: torch.Tensor | None = None) -> Phrases:
    texts = tuple(f"thing {i}" for i in range(len(positives)))
    return Phrases(texts, positives, torch.zeros(1, WIDTH) if canonicals is None else canonicals, {})


THERE = normalize(NAMES[:THINGS] + some(THINGS, 2), dim=-1)
VOCABULARY = Vocabulary(tuple(map(str, range(200))), some(200, 5))


@pytest.fixture(scope="module")
def calibrator() -> Calibrator:
    return Calibrator(scene(), VOCABULARY)


def test_names_are_common_and_not_those_absence_is_measured_on():
    assert len(set(COMMON_NAMES)) == len(COMMON_NAMES) > 500
    assert not {n.lower() for n in COMMON_NAMES} & set(ABSENT_NAMES)
    assert all(name == name.strip() and name.isprintable() for name in COMMON_NAMES)


def test_what_is_there_is_found_and_chance_is_even(calibrator: Calibrator):
    there = [j.score for j in calibrator.judge(question(NAMES[:THINGS]))]
    absent = torch.tensor([j.score for j in calibrator.judge(question(some(300, 9)))])
    assert min(there) > 0.95
    for share in (0.3, 0.5, 0.7, 0.9):
        assert float((absent < share).float().mean()) == pytest.approx(share, abs=0.12)


def test_verdicts_follow_scores(calibrator: Calibrator):
    for one in calibrator.judge(question(torch.cat([NAMES[:3], some(40, 4)]))):
        assert one.verdict == ("found" if one.score >= 0.9 else "unsure" if one.score >= 0.7 else "not in this scene")
        assert one.called in VOCABULARY.names
        assert f"{int(100 * one.score)} %" in one.note
        assert ("only" in one.note) == (one.verdict == "not in this scene")


@given(st.floats(0.5, 1), st.floats(0.5, 1), st.integers(0, THINGS - 1))
@settings(deadline=None, max_examples=40)
def test_nearer_to_what_is_there_is_never_less_sure(calibrator: Calibrator, a: float, b: float, thing: int):
    """On the way from what is unlike all that is shown to one of the things."""
    outside = torch.linalg.svd(THERE).Vh[-1]
    low, high = (share * THERE[thing] + (1 - share**2) ** 0.5 * outside for share in (min(a, b), max(a, b)))
    scores = [one.score for one in calibrator.judge(question(torch.stack([low, high])))]
    assert scores[0] <= scores[1] + 1e-6


def test_batch_is_single_and_order_is_nothing(calibrator: Calibrator):
    mixed = torch.cat([NAMES[:4], some(6, 8)])
    together = [j.score for j in calibrator.judge(question(mixed))]
    assert [calibrator.judge(question(v[None]))[0].score for v in mixed] == pytest.approx(together)
    assert [j.score for j in calibrator.judge(question(mixed.flip(0)))] == pytest.approx(together[::-1])


def test_order_of_gaussians_and_of_names_is_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(calibrate, "MOST_PLACES", 100)
    field, asked = scene(), question(torch.cat([NAMES[:4], some(6, 8)]))
    assert field.codes is not None
    order = torch.randperm(THINGS * EACH, generator=torch.Generator().manual_seed(0))
    turned = Field(gaussians_at(field.gaussians.means[order]), field.codes[:, order], field.codec, {})
    backwards = Vocabulary(VOCABULARY.names[::-1], VOCABULARY.vectors.flip(0))
    expected = [j.score for j in Calibrator(field, VOCABULARY).judge(asked)]
    assert [j.score for j in Calibrator(turned, VOCABULARY).judge(asked)] == pytest.approx(expected, abs=1e-4)
    assert [j.score for j in Calibrator(field, backwards).judge(asked)] == pytest.approx(expected, abs=1e-4)


def test_names_that_are_there_do_not_move_what_chance_is():
    """A fifth of the vocabulary standing out by far shifts the median a little and the width hardly."""
    cosines = 0.1 * torch.randn(500, 60, generator=torch.Generator().manual_seed(3))
    plain = norm_of_names(cosines)
    seen = cosines.clone()
    seen[:50, 0] += 0.4
    crowded = norm_of_names(seen)
    assert abs(crowded.chance - plain.chance) < 0.5 * plain.width
    assert abs(crowded.width - plain.width) < 0.3 * plain.width


def test_negatives_rule_out(calibrator: Calibrator):
    asked = question(NAMES[:1], NAMES[:1])
    one = calibrator.judge(asked)[0]
    assert (one.score, one.verdict) == (0, "not in this scene")
    assert "nowhere" in one.note


def test_more_chances_make_less_sure(calibrator: Calibrator):
    alone = calibrator.judge(question(some(1, 31)))[0].score
    tries = question(torch.cat([some(1, 31), *(some(1, 31),) * 3])).any_of()
    assert calibrator.judge(tries)[0].score == pytest.approx(alone**4)


def test_sights_of_the_scene_are_found_and_strange_ones_are_not(calibrator: Calibrator):
    shown = places_of(scene())
    vectors = deviations(shown.vectors[:: 3 * EACH], shown.average)
    seen = Phrases(("a",) * len(vectors), vectors, torch.zeros(1, WIDTH), {}, space="image")
    assert all(j.verdict == "found" for j in calibrator.judge(seen))
    torch.testing.assert_close(vectors @ shown.average, torch.zeros(len(vectors)), atol=1e-5, rtol=0)
    strange = Phrases(("b",) * 50, some(50, 123), torch.zeros(1, WIDTH), {}, space="image")
    assert max(j.score for j in calibrator.judge(strange)) < min(j.score for j in calibrator.judge(seen))


def test_from_texts_to_scores():
    codes = torch.eye(DIM)[[0, 1]].repeat_interleave(80, dim=0).repeat(3, 1, 1)
    field = Field(blob_gaussians(), codes, Identity(DIM), {})
    ball, gnu, cube = presence(field, Words(), ["ball", "gnu", "cube"])
    assert min(ball, cube) > 0.99
    assert gnu < 0.9
    assert len(encode_vocabulary(Words(), DIM)) == len(COMMON_NAMES)
    with pytest.raises(QueryError, match="no language part"):
        presence(Field(blob_gaussians(), None, None, {}), Words(), ["ball"])


def test_a_field_that_shows_nothing_answers():
    empty = Field(gaussians_at(torch.zeros(4, 3)), torch.zeros(3, 4, WIDTH), Identity(WIDTH), {})
    assert Calibrator(empty, VOCABULARY).judge(question(NAMES[:1]))[0].verdict == "not in this scene"
