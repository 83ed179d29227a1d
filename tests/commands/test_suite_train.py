"""Training papers on the command line: what comes out loads again, learns on toy scenes, and survives a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from langfield.artefacts import read_tensors
from langfield.cli import main
from langfield.errors import SettingsError
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.spec import clip_model
from langfield.suite.text_tuning import TextTower
from langfield.suite.textgen import text_generator
from langfield.suite.toy.pairs import toy_pairs
from langfield.suite.toy.scenes import make_scene
from langfield.suite.trainer import Checkpoint
from langfield.suite.tuning import METHODS, TuneSettings, begin, prepared, told_apart, tune
from tests.suite.tiny_clip import tiny_clip
from tests.suite_run import NAMES, suite_run

SHORT = ("--steps", "3", "--lr", "1e-3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suite_run(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> Any:
        with pytest.raises(SystemExit) as stop:
            main(["suite", *map(str, words)])
        shown = capsys.readouterr()
        return shown.err if stop.value.code else json.loads(shown.out) if "--json" in words else shown.out

    return call


@pytest.mark.parametrize("method", METHODS)
def test_a_run_teaches_a_tower_that_loads_again(run, folder, tmp_path, method):
    out = tmp_path / "tower.safetensors"
    words = ("train", method, "--out", out, "--on", folder, "--names", *NAMES)
    found = run(*words, *SHORT, "--json")
    assert found["pictures"] == 15
    again = clip_model(found["model"])
    changed = clip_model("toy:good" + ("+encode:long-clip" if method == "long-clip" else ""))
    assert not torch.equal(again.encode_texts(NAMES), changed.encode_texts(NAMES))
    assert torch.equal(again.visual.conv1.weight, changed.visual.conv1.weight)
    assert "templates" in found["reduced"][0]
    assert not out.with_suffix(".checkpoint").exists()
    with pytest.raises(SystemExit) as stop:
        main(["query", str(folder), "red circle", "--text-encoder", found["model"], "--json"])
    assert not stop.value.code


def test_adapt_learns_the_scenes_names(run, folder, tmp_path):
    out = tmp_path / "svd.safetensors"
    found = run("adapt", "clip-svd:steps=5", "--out", out, "--on", folder, "--names", *NAMES, "--json")
    assert found["after"] >= found["before"]
    assert clip_model(found["model"]).name == f"toy:good+svd:{out}"
    assert all(values.ndim == 1 for values in read_tensors(out)[0].values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "gda", "--out", "x"), "trains no tower"),
        (("adapt", "coop:steps=1", "--out", "x"), "changes no weights"),
        (("adapt", "laclip", "--out", "x"), "belongs to the family ask"),
        (("train", "laclip", "--out", "x", "--texts", "nobody"), "text generator"),
    ],
)
def test_what_cannot_be_trained_says_so(run, folder, words, message):
    assert message in run(*words, "--on", folder, "--names", *NAMES)


def corpus(count: int = 24) -> Pairs:
    """Toy pictures as vectors of a small CLIP that knows nothing."""
    pairs = toy_pairs([make_scene(i) for i in range(count)])
    return Pairs(pairs.captions, None, tiny_clip().encode_images(list(pairs.pictures or ())))


@pytest.mark.parametrize("method", METHODS)
def test_it_learns_and_only_texts_move(method):
    model, pairs = tiny_clip(), prepared(corpus(), method, text_generator())
    before, image = told_apart(model, pairs), {name: p.clone() for name, p in model.visual.named_parameters()}
    learner = TextTower(model)
    history = begin(learner, pairs, method, TuneSettings(40, 3e-3, 16)).run()
    learner.put()
    first, last = (sum(sum(terms.values()) for terms in part) for part in (history[:8], history[-8:]))
    assert last < first
    assert told_apart(model, pairs) > before
    assert all(torch.equal(value, image[name]) for name, value in model.visual.named_parameters())


def test_a_killed_training_ends_in_the_same_bits(tmp_path):
    pairs = prepared(corpus(), "hq-clip", text_generator())
    settings = TuneSettings(6, 1e-3, 8)
    whole = tiny_clip()
    tune(whole, pairs, "hq-clip", tmp_path / "whole.safetensors", settings)
    killed = begin(TextTower(tiny_clip()), pairs, "hq-clip", settings)
    steps = 0

    def stops(rows):
        nonlocal steps
        steps += 1
        if steps == 4:
            raise KeyboardInterrupt
        return killed.objective(rows)

    with pytest.raises(KeyboardInterrupt):
        type(killed)(killed.stages, killed.learner, stops, killed.examples).run(0, Checkpoint(tmp_path / "k", 3))
    resumed = tiny_clip()
    learner = TextTower(resumed)
    begin(learner, pairs, "hq-clip", settings).run(0, Checkpoint(tmp_path / "k", 3))
    learner.put()
    one, other = whole.module.state_dict(), resumed.module.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_nobody_wrote_what_is_needed():
    class Silent:
        name, reduced = "silent", True

        def write(self, kind, text, count):
            return []

    pairs = Pairs(((Caption("a"),),), None, torch.eye(32)[:1])
    for method in ("hq-clip", "long-clip"):
        with pytest.raises(SettingsError, match="silent wrote no"):
            prepared(pairs, method, Silent())
