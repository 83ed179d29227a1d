"""`langfield suite bench`."""

import json

import pytest

from langfield.cli import main


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
