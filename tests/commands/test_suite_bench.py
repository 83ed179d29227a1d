"""`langfield suite bench`."""

import json
from pathlib import Path

import pytest

from langfield.cli import main
from langfield.commands.suite_bench import effect_lines, merged, read_rows
from langfield.errors import FormatError


def run(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(["suite", "bench", *words])
    assert end.value.code == 0
    return capsys.readouterr().out


def test_scores_are_printed_and_given_as_json(capsys):
    data = json.loads(run(capsys, "--model", "toy:bag", "--scenes", "12", "--json"))
    assert data["model"] == "toy:bag"
    assert 0 <= data["scores"]["attributes"] <= 1
    text = run(capsys, "--model", "toy:bag", "--scenes", "12")
    assert f"{data['scores']['zero_shot']:.3f}" in text
    assert "(chance 0.5)" in text


@pytest.mark.parametrize("words", [("--model", "toy:fourth"), ("--scenes", "1"), ("--seed", "-1")])
def test_what_cannot_be_is_said(words: tuple[str, ...], capsys):
    with pytest.raises(SystemExit) as end:
        main(["suite", "bench", *words])
    assert end.value.code == 1
    assert "error:" in capsys.readouterr().err


def test_effects_are_printed_kept_and_not_measured_again(capsys, tmp_path: Path, monkeypatch):
    out = tmp_path / "effects.json"
    text = run(capsys, "--effects", "clippings", "--out", str(out))
    assert text.count("clippings") >= 2
    assert "2 of 2 claims reproduced" in text
    rows = json.loads(out.read_text())["effects"]
    monkeypatch.setattr("langfield.suite.effects.clippings.linked", lambda *_: 1 / 0)
    assert json.loads(run(capsys, "--effects", "clippings", "--out", str(out), "--json"))["effects"] == rows


def test_other_rows_of_the_file_stay_and_missed_claims_are_said():
    row = {"method": "a", "claim": "c", "key": "k", "seeds": {"0": [0.5, 0.25]}, "least": None, "gain": -0.25}
    row |= {"reproduced": "no", "measure": "m", "ground": "g"}
    other = row | {"method": "b"}
    assert merged([row, other], [other | {"gain": 1}]) == [row, other | {"gain": 1}]
    assert effect_lines([row])[-2:] == ["0 of 1 claims reproduced, but not:", "  a: c (mean gain -0.250)"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"effects": [{"method": "a"}]}', '{"effects": [{"method": 1}]}'])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "effects.json"
    path.write_text(text)
    with pytest.raises(FormatError):
        read_rows(path)
