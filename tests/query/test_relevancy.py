"""Relevancy by LangSplat's formula, and what may be asked."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.query.relevancy import CANONICALS, Phrases, check_text, encode_phrases, relevancy
from tests.blobs import DIM, Words


def test_canonical_phrases_are_langsplats():
    assert CANONICALS == ("object", "things", "stuff", "texture")


@given(seed=st.integers(0, 1000))
def test_against_the_softmax_written_out(seed):
    generator = torch.Generator().manual_seed(seed)
    vectors, wanted, general = (normalize(torch.randn(n, 5, generator=generator), dim=-1) for n in (7, 2, 4))
    found = relevancy(vectors, wanted, general)
    assert found.shape == (2, 7)
    for q in range(2):
        for v in range(7):
            pairs = []
            for k in range(4):
                a, b = math.exp(10 * float(vectors[v] @ wanted[q])), math.exp(10 * float(vectors[v] @ general[k]))
                pairs.append(a / (a + b))
            assert float(found[q, v]) == pytest.approx(min(pairs), abs=1e-5)


def test_hand_computed():
    """cos 0.6 with the phrase, 0.5 with the nearest canonical: 1 / (1 + e^-1)."""
    vector = torch.tensor([0.6, 0.5, math.sqrt(1 - 0.61)])
    eye = torch.eye(3)
    assert float(relevancy(vector, eye[:1], -eye[1:2] * -1)) == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)


def test_zero_vector_is_neutral_and_shapes_are_free():
    found = relevancy(torch.zeros(2, 3, 4), torch.eye(4)[:3], torch.eye(4)[3:])
    assert found.shape == (3, 2, 3)
    assert torch.equal(found, torch.full((3, 2, 3), 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "empty"), ("  \t ", "empty"), ("x" * 513, "513 characters"), ("a\x00b", "control"), ("a\nb", "control")],
)
def test_texts_that_cannot_be_asked(text, message):
    with pytest.raises(QueryError, match=message):
        check_text(text)


def test_texts_that_can():
    assert check_text(" rote Tasse ☕ ") == "rote Tasse ☕"
    assert check_text("x" * 512)


def test_encoder_of_another_width_is_refused():
    with pytest.raises(QueryError, match="width 16, the field holds width 512"):
        encode_phrases(Words(), ["ball"], 512)
    with pytest.raises(QueryError, match="no question"):
        encode_phrases(Words(), [], DIM)


def test_encoder_that_gives_nonsense_is_refused():
    class Nan(Words):
        def encode_texts(self, texts):
            return super().encode_texts(texts) * torch.nan

    with pytest.raises(QueryError, match="unusable vectors"):
        encode_phrases(Nan(), ["ball"], DIM)


def test_phrases_carry_the_encoder():
    phrases = encode_phrases(Words(), [" ball ", "cube"], DIM)
    assert phrases.texts == ("ball", "cube")
    assert phrases.positives.shape == (2, DIM)
    assert phrases.canonicals.shape == (4, DIM)
    assert phrases.encoder["name"] == "two-words"


def scores_of(phrases: Phrases, vectors: torch.Tensor) -> torch.Tensor:
    return phrases.join(relevancy(vectors, phrases.positives, phrases.canonicals))


VECTORS = normalize(torch.randn(50, DIM, generator=torch.Generator().manual_seed(1)), dim=-1)


def test_order_of_texts_is_order_of_rows_and_a_batch_is_its_texts():
    there, back = (encode_phrases(Words(), texts, DIM) for texts in (["ball", "cube", "gnu"], ["gnu", "cube", "ball"]))
    assert torch.equal(scores_of(there, VECTORS), scores_of(back, VECTORS).flip(0))
    for i, text in enumerate(there.texts):
        alone = scores_of(encode_phrases(Words(), [text], DIM), VECTORS)
        torch.testing.assert_close(alone[0], scores_of(there, VECTORS)[i])
        torch.testing.assert_close(alone, scores_of(there.row(i), VECTORS))


def test_negatives_are_the_askers_and_their_order_is_nothing():
    plain, other, turned = (
        scores_of(encode_phrases(Words(), ["ball"], DIM, negatives), VECTORS)
        for negatives in (CANONICALS, ("cube", "things"), ("things", "cube"))
    )
    assert torch.equal(other, turned)
    assert not torch.allclose(plain, other)
    cube = torch.eye(DIM)[1:2]
    assert float(scores_of(encode_phrases(Words(), ["ball"], DIM, ("cube",)), cube)) < 0.01
    with pytest.raises(QueryError, match="no negative"):
        encode_phrases(Words(), ["ball"], DIM, ())
    with pytest.raises(QueryError, match="empty"):
        encode_phrases(Words(), ["ball"], DIM, ("",))


def test_any_of_is_the_best_of_its_rows():
    several = encode_phrases(Words(), ["ball", "cube", "gnu"], DIM)
    one = several.any_of()
    assert (len(one), one.texts) == (1, ("ball or cube or gnu",))
    assert torch.equal(scores_of(one, VECTORS)[0], scores_of(several, VECTORS).amax(dim=0))
    assert torch.equal(scores_of(one.row(0), VECTORS), scores_of(one, VECTORS))
