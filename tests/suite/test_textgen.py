"""Who writes texts: an endpoint on loopback, a file, rules; what a reply must be to be believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langfield.artefacts import write_json
from langfield.errors import FormatError, SettingsError
from langfield.suite.textgen import PROMPTS, Model, Templates, exchanged, read_list, text_generator
from tests.suite.captions.server import chat_server, says
from tests.suite.captions.test_endpoint import endpoint


def test_an_endpoint_is_asked_in_words_and_its_list_read():
    with chat_server(lambda asked, n: says("1. has a handle; - round rim; red {mug}; Round Rim")) as server:
        writer = Model(endpoint(server.url))
        assert writer.write("descriptions", "red {mug}", 3) == ["has a handle", "round rim", "Round Rim"]
        assert writer.write("descriptions", "red {mug}", 1) == ["has a handle"]
    assert "'red {mug}'" in server.asked[0].prompt
    assert server.asked[0].prompt.startswith("List 3 short visible features")
    assert not writer.reduced
    assert writer.name == "endpoint:tiny"


def test_a_model_that_says_nothing_gives_no_texts():
    with chat_server(lambda asked, n: says("...")) as server:
        assert Model(endpoint(server.url)).write("negatives", "mug", 3) == []


@pytest.mark.parametrize(
    ("reply", "items"),
    [
        ("a bowl; a glass, tall; a vase.", ["a bowl", "a glass, tall", "a vase"]),
        ("1) bowl\n2) glass\n\n* vase", ["bowl", "glass", "vase"]),
        ("bowl; bowl; MUG; ;;" + "x" * 401, ["bowl"]),
        ("", []),
    ],
)
def test_lists_of_any_look(reply, items):
    assert read_list(reply, "mug", 9) == items


def test_a_file_gives_what_it_holds(tmp_path: Path):
    path = tmp_path / "texts.json"
    write_json(path, {"descriptions": {"Red Mug": ["a handle", "round"]}, "negatives": {}})
    writer = text_generator(f"file:{path}")
    assert writer.write("descriptions", " red mug", 5) == ["a handle", "round"]
    assert writer.write("descriptions", "red mug", 1) == ["a handle"]
    assert writer.write("rewrites", "red mug", 5) == writer.write("negatives", "red mug", 5) == []
    assert not writer.reduced


@pytest.mark.parametrize(
    "data", [[], {"words": {}}, {"negatives": []}, {"negatives": {"a": "b"}}, {"negatives": {"a": [""]}}]
)
def test_other_files_are_refused(tmp_path: Path, data):
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError):
        text_generator(f"file:{path}")


def test_templates_exchange_words_and_say_that_they_are_templates():
    writer = text_generator()
    assert isinstance(writer, Templates)
    assert writer.reduced
    rewrites = writer.write("rewrites", "red mug", 30)
    assert "red cup" in rewrites
    assert "a photo of red mug" in rewrites
    assert writer.write("negatives", "red mug left of it", 50) == exchanged(["red", "mug", "left", "of", "it"])
    assert "red mug right of it" in writer.write("negatives", "red mug left of it", 50)
    assert writer.write("negatives", "mug", 9) == []
    assert writer.write("descriptions", "red mug", 9) == ["something red", "a kind of mug"]
    for kind in PROMPTS:
        assert len(writer.write(kind, "red mug", 1)) == 1


def test_exchanges_are_one_word_each_and_go_both_ways():
    words = ["the", "open", "box", "behind", "the", "blue", "cup"]
    for text in exchanged(words):
        changed = [(a, b) for a, b in zip(words, text.split(), strict=True) if a != b]
        assert len(changed) == 1
        assert " ".join(words) in exchanged(text.split())


@pytest.mark.parametrize("spec", ["xyz", "file:", "endpoint:", "recorded:a.jsonl", "transformers", "templates:1"])
def test_specs_that_mean_nothing(spec):
    with pytest.raises(SettingsError, match="no text generator"):
        text_generator(spec)
