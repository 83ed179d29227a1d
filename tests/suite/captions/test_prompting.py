"""Prompt files: read once, checked at once, filled without surprises."""

from __future__ import annotations

from pathlib import Path

import pytest

from langfield.errors import FormatError, SettingsError
from langfield.suite.captions.prompting import FOLDER, NOTHING, SLOTS, Kind, load_prompt

KINDS: list[Kind] = ["video", "frame", "rewrite"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda p: p.stem)
def test_every_file_of_the_package_is_a_prompt_of_its_kind(path: Path):
    kind: Kind = next(k for k in KINDS if path.stem.startswith(f"{k}_v"))
    words = {slot: f"<<{slot} {{braces}}>>" for slot in SLOTS[kind]}
    filled = load_prompt(kind, path.stem).fill(words)
    assert all(filled.count(w) == 1 for w in words.values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_slot_says_is_never_read_as_a_slot(kind: Kind):
    words = {slot: "{object_hint} {0.__class__} {{" for slot in SLOTS[kind]}
    assert load_prompt(kind).fill(words).count("{object_hint} {0.__class__} {{") == len(words)


def test_an_empty_slot_says_that_nothing_is_known():
    assert NOTHING in load_prompt("video").fill({"object_hint": " \n"})


def test_slots_must_be_those_of_the_kind_and_short():
    prompt = load_prompt("video")
    for slots in ({}, {"object_hint": "a", "more": "b"}, {"object_hint": "a" * 8193}):
        with pytest.raises(SettingsError):
            prompt.fill(slots)


@pytest.mark.parametrize(
    "text",
    [
        "", "no slot", "{object_hint} {object_hint}", "{object_hint} {other}", "{object_hint", "{object_hint!r}",
        "{object_hint:9999999}", "{object_hint.__class__}", "{object_hint[0]}", "{} {object_hint}", "{object_hint}}",
    ],
)  # fmt: skip
def test_a_file_with_other_slots_is_refused_when_it_is_read(tmp_path: Path, text: str):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(FormatError):
        load_prompt("video", tmp_path / "mine.txt")


def test_a_file_of_ones_own_is_taken_and_has_a_key_of_its_own(tmp_path: Path):
    path = tmp_path / "video_v1.txt"
    path.write_text("What is {object_hint}?")
    mine = load_prompt("video", path)
    assert mine.fill({"object_hint": "a cup"}) == "What is a cup?"
    assert mine.name == load_prompt("video").name
    assert mine.key != load_prompt("video").key


def test_what_is_missing_large_or_no_text_is_refused(tmp_path: Path):
    (tmp_path / "large.txt").write_text("{object_hint}" + " " * 20_000)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe{object_hint}")
    for source in ("video_v0", "../prompts/video_v1", tmp_path / "none.txt", tmp_path / "large.txt",
                   tmp_path / "bytes.txt", tmp_path):  # fmt: skip
        with pytest.raises(FormatError):
            load_prompt("video", source)
