"""A transformers model as captioner: read from a folder, deterministic, and it looks at what it is shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from langfield.errors import EnvironmentProblem, FormatError
from langfield.suite.captions import captioner
from langfield.suite.captions.vlm import Vlm, load
from tests.suite.captions.tiny_vlm import WORDS, write_tiny_vlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_vlm(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Vlm:
    vlm = load(str(folder))
    vlm._max_tokens = 12
    return vlm


def pictures(*seeds: int) -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 256, (56, 84, 3), np.uint8) for seed in seeds]


def test_a_folder_becomes_a_captioner_that_says_only_new_words(folder: Path, model: Vlm):
    words = model.caption(pictures(0, 1), "what state is the cup in")
    assert set(words.split()) <= set(WORDS)
    assert 0 < len(words.split()) <= 12
    assert captioner(f"transformers:{folder}").identity == load(str(folder)).identity


def test_the_same_question_has_one_answer_and_pictures_their_order_and_the_prompt_make_another(model: Vlm):
    first = [model.caption(pictures(0, 1), "what is the cup") for _ in range(2)]
    assert first[0] == first[1]
    others = [
        model.caption(pictures(1, 0), "what is the cup"),
        model.caption(pictures(0), "what is the cup"),
        model.caption(pictures(0, 1), "is the lamp broken"),
        model.caption([], "what is the cup"),
    ]
    assert len({first[0], *others}) >= 4  # greedy words may agree by chance once


def test_other_weights_or_settings_are_another_identity(folder: Path, tmp_path: Path):
    other = write_tiny_vlm(tmp_path / "other", seed=1)
    assert load(str(other)).identity["weights"] != load(str(folder)).identity["weights"]
    model = load(str(folder))
    assert (
        Vlm("x", model._model, model._processor, "1", 5).identity
        != Vlm("x", model._model, model._processor, "1", 6).identity
    )


def test_what_is_no_model_is_said_in_a_sentence(folder: Path, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "nothing-known"}')
    with pytest.raises((FormatError, EnvironmentProblem)):
        load(str(tmp_path))
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    (cut / "model.safetensors").write_bytes((cut / "model.safetensors").read_bytes()[:1000])
    with pytest.raises((FormatError, EnvironmentProblem)):
        load(str(cut))


def test_without_a_hub_a_name_is_refused_within_seconds():
    with pytest.raises(EnvironmentProblem, match="hub"):
        captioner("transformers:nobody/no-such-model")
