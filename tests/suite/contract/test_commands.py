"""The contract of every method on the command line: it is asked of a run, finds what is there, and can be kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langfield.cli import main
from langfield.suite.families import method
from tests.suite.contract.common import rows
from tests.suite_run import NAMES, suite_run

THING = {name: thing for thing, name in enumerate((NAMES[3], *NAMES[:3]))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suite_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return suite_run(tmp_path_factory.mktemp("other"), 5)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: object) -> Any:
        with pytest.raises(SystemExit) as stop:
            main(list(map(str, words)))
        shown = capsys.readouterr()
        if stop.value.code:
            assert shown.err.startswith("error: "), shown.err
            assert shown.err.count("\n") == 1
            return shown.err
        return json.loads(shown.out) if "--json" in words else shown.out

    return call


@pytest.mark.parametrize("name", rows("ask"))
def test_ask(run, folder, name):
    texts = ["red circle", "blue circle"]
    answers = run("query", folder, *texts, "--method", name, "--json")
    together = getattr(method("ask", name), "TOGETHER", False)
    found = [answers] if together else answers
    assert all(one["encoders"]["text"]["head"]["method"] == name for one in found)
    assert [one["instance"] for one in found] == [THING["blue circle"]] if together else [THING[t] for t in texts]
    text = run("query", folder, *texts, "--method", name)
    assert f"method {name}" in text
    assert ("templates" in text) == ("generator" in method("ask", name).NEEDS)


@pytest.mark.parametrize("name", rows("teach"))
def test_teach(run, folder, name, tmp_path):
    head = tmp_path / "head.safetensors"
    clicks = [f"{text}={THING[text]}" for text in NAMES[:2]]
    report = run("teach", folder, *clicks, "--none", THING[NAMES[3]], "--method", name, "--out", head, "--json")
    assert report["about"]["method"] == name
    found = {row["name"]: row["thing"] for row in report["names"]}
    if getattr(method("teach", name), "UNLABELLED", False):  # four things are too few to learn from without a label
        asked = run("query", folder, *NAMES[:2], "--head", head, "--json")
        assert {one["text"]: one["instance"] for one in asked} == found
        return
    assert found == {text: THING[text] for text in NAMES[:2]}
    for text in NAMES[:2]:
        answer = run("query", folder, text, "--head", head, "--json")
        assert (answer["instance"], answer["text"]) == (THING[text], text)
    listed = run("query", folder, "--head", head, "--list", "--json")
    assert {row["instance"]: row["name"] for row in listed if row["instance"] in (1, 2)} == {1: NAMES[0], 2: NAMES[1]}


@pytest.mark.parametrize("name", ["plain", *rows("find")])
def test_find(run, folder, other, name):
    rows = run("find", folder, other, "--method", name, "--names", *NAMES, "--most", 9, "--json")["found"]
    assert [(row["thing"], row["mutual"]) for row in rows] == [(row["other"], True) for row in rows]
    assert {row["thing"]: row["name"] for row in rows} == {thing: text for text, thing in THING.items()}
    if name in ("plain", "lexiclip"):
        found = run("find", folder, "--text", "a blue circle", "--method", name, "--names", *NAMES, "--json")["found"]
        assert found[0]["thing"] == THING["blue circle"]
    else:
        assert "not by texts" in run("find", folder, "--text", "blue", "--method", name, "--names", *NAMES)
    assert "thing" in run("find", folder, "--picture", folder / "made" / "view_0.png", "--method", name)


@pytest.mark.parametrize("name", rows("encode"))
def test_encode(run, folder, name):
    answer = run("query", folder, "blue circle", "--text-encoder", f"toy:good+encode:{name}", "--json")
    assert answer["instance"] == THING["blue circle"]
    assert answer["encoders"]["text"]["name"] == f"toy:good+encode:{name}"


@pytest.mark.parametrize("by", ["colour", "shape", "toy:bag"])
def test_diagnose(run, folder, by):
    words = ("--by", by, "--method", "mmvp:same=-1,apart=1", "--names", *NAMES)
    pairs = run("suite", "diagnose", folder, *words, "--json")["pairs"]
    assert {(row["a"], row["b"]) for row in pairs} == {(a, b) for a in range(4) for b in range(a + 1, 4)}
    apart = {(row["a"], row["b"]): row["apart"] for row in pairs}
    if by == "shape":  # the table is apart from the balls
        assert max(apart[0, b] for b in (1, 2, 3)) < min(v for (a, _), v in apart.items() if a)
    assert "the encoder" in run("suite", "diagnose", folder, *words)
    assert "no blind pair" in run("suite", "diagnose", folder, "--by", by, "--method", "mmvp:same=1")


def test_languages(run, folder, tmp_path):
    german = ["roter kreis", "gruener kreis", "blauer kreis", "braunes quadrat"]
    file = tmp_path / "labels.json"
    table = {"EN": [[7, 3, 5, 1], list(NAMES)], "DE": [[7, 3, 5, 1], german], "XX": [[7, 3], list(NAMES[1::-1])]}
    file.write_text(json.dumps(table))
    things = [f"{text}={thing}" for text, thing in THING.items()]
    rows = {row["language"]: row for row in run("suite", "languages", folder, file, *things, "--json")["languages"]}
    assert rows["en"]["accuracy"] == rows["en"]["reference"] == 1.0
    assert (rows["xx"]["accuracy"], rows["xx"]["gap"]) == (0.0, 1.0)  # each is called by the other's name
    assert "told right" in run("suite", "languages", folder, file, *things, "--only", "de")
    assert "none of the names" in run("suite", "languages", folder, file, "gnu=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["query", "RUN", "red circle", "--method", "gda"], "belongs to the family teach"),
        (["query", "RUN", "red circle", "--method", "xyz"], "choose one of"),
        (["query", "RUN", "red circle", "--method", "laclip:x=1"], "no setting"),
        (["query", "RUN", "red circle", "--method", "laclip", "--texts", "nobody"], "text generator"),
        (["query", "RUN", "red circle", "--texts", "templates2"], "a method asks texts"),
        (["query", "RUN", "red circle", "--method", "deltaspace"], "two ends"),
        (["query", "RUN", "--head", "missing.safetensors"], "missing.safetensors"),
        (["teach", "RUN", "red circle=1", "--method", "laclip"], "belongs to the family ask"),
        (["teach", "RUN", "red circle=9"], "no thing 9"),
        (["teach", "RUN", "red circle"], "NAME=EXAMPLE"),
        (["teach", "RUN", "red circle=view_0.png:900,1"], "outside"),
        (["find", "RUN"], "give one of them"),
        (["find", "RUN", "--text", "x", "--method", "gda"], "belongs to the family teach"),
        (["find", "RUN", "--picture", "missing.png"], "missing.png"),
        (["suite", "diagnose", "RUN", "--by", "xyz"], "no image encoder"),
        (["suite", "diagnose", "RUN", "--method", "babel-imagenet"], "compares languages"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(run, folder, words, message):
    assert message in run(*(folder if word == "RUN" else word for word in words))
