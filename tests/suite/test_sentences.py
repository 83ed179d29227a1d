"""Sentence encoders: unit vectors, near for the same state in other words, and blind to who shares the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from langfield.errors import EnvironmentProblem, SettingsError
from langfield.suite.e5_mistral import TASK, E5Mistral
from langfield.suite.sentences import MiniLmSentences, sentence_encoder
from tests.suite.captions.tiny_vlm import WORDS, tokenizer

# A caption, the same state in other words, another state of the same thing.
TRIPLES = [
    ("The cup lies on its side.", "The cup has been knocked over.", "The cup stands upright."),
    ("The lamp is lit.", "The lamp is shining brightly.", "The lamp is dark."),
    ("The box is closed.", "The lid of the box is shut.", "The box is open."),
    ("The cookie is whole.", "The cookie is in one piece.", "The cookie is broken in two."),
    ("The glass is full of water.", "Somebody has filled the glass with water.", "The glass is empty."),
]


@pytest.fixture(scope="module")
def sentences(minilm) -> MiniLmSentences:
    return MiniLmSentences(minilm)


@pytest.fixture(scope="module")
def e5() -> E5Mistral:
    """The real architecture with a few thousand random parameters."""
    from transformers import MistralConfig, MistralModel

    words = tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = MistralConfig(
            vocab_size=len(words), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, initializer_range=0.4,
        )  # fmt: skip
        return E5Mistral("e5-mistral:tiny", MistralModel(config), words, "tiny")


@pytest.mark.parametrize("triple", TRIPLES, ids=lambda t: t[0][:20])
def test_the_same_state_in_other_words_is_nearer_than_another_thing(sentences, triple):
    said, same, _ = sentences.encode_texts(triple)
    elsewhere = sentences.encode_texts([t[0] for t in TRIPLES if t is not triple])
    assert said @ same > (elsewhere @ same).max()


def test_over_all_things_the_same_state_is_nearer_than_the_other_state(sentences):
    gaps = [said @ same - said @ other for said, same, other in (sentences.encode_texts(t) for t in TRIPLES)]
    assert torch.stack(gaps).mean() > 0


def test_minilm_gives_unit_vectors_and_captions_and_questions_share_a_space(sentences):
    texts = [t for triple in TRIPLES for t in triple]
    vectors = sentences.encode_texts(texts)
    assert vectors.shape == (len(texts), sentences.dim)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(texts)), atol=1e-5)
    assert torch.equal(sentences.encode_queries(texts), vectors)


def test_e5_gives_the_same_vector_whoever_shares_the_batch(e5):
    texts = [" ".join(WORDS[: n + 1]) for n in (0, 7, 3, 20, 1, 2)]
    together = e5.encode_texts(texts)
    alone = torch.cat([e5.encode_texts([t]) for t in texts])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(together.norm(dim=1), torch.ones(len(texts)), atol=1e-5)
    assert e5.encode_texts([]).shape == (0, 32)


def test_e5_reads_the_end_mark_after_the_last_word(e5):
    first, last = e5.encode_texts(["the cup is open", "the cup is closed"])
    assert not torch.allclose(first, last, atol=1e-3)
    ids = [*e5._tokenizer("the cup is open")["input_ids"], e5._tokenizer.eos_token_id]
    with torch.no_grad():
        hidden = e5._model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    assert torch.allclose(first, hidden / hidden.norm(), atol=1e-5)


def test_e5_puts_the_task_before_questions_alone(e5):
    asked = e5.encode_queries(["is the cup open"])
    assert torch.equal(asked, e5.encode_texts([f"Instruct: {TASK}\nQuery: is the cup open"]))
    assert not torch.allclose(asked, e5.encode_texts(["is the cup open"]), atol=1e-3)


def test_e5_from_a_folder_is_the_same_encoder(e5, tmp_path: Path):
    e5._model.save_pretrained(tmp_path)
    e5._tokenizer.save_pretrained(tmp_path)
    loaded = sentence_encoder(f"e5-mistral:{tmp_path}")
    assert torch.allclose(loaded.encode_texts(["the cup is open"]), e5.encode_texts(["the cup is open"]), atol=1e-5)
    assert loaded.provenance["weights"] not in ("None", "tiny")


def test_what_is_not_there_is_said():
    with pytest.raises(SettingsError, match="no sentence encoder"):
        sentence_encoder("bert")
    with pytest.raises(EnvironmentProblem, match="folder"):
        sentence_encoder("e5-mistral:/no/such/folder")
    with pytest.raises(EnvironmentProblem, match="hub"):
        sentence_encoder("e5-mistral")
    with pytest.raises(SettingsError, match="no folder"):
        sentence_encoder("minilm-l6:here")
