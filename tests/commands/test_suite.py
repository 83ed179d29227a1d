"""`langfield suite`: lists, pages, and the README's table."""

import json
from pathlib import Path

import pytest

from langfield.cli import main
from langfield.commands.suite import BEGIN, END, page_of, renewed
from langfield.errors import FormatError
from langfield.suite.cards import cards
from langfield.suite.families import built

README = Path(__file__).parents[2] / "README.md"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["suite", *words])
    out = capsys.readouterr()
    assert stop.value.code == (1 if out.err.startswith("error") else 0)
    return out.out or out.err


def test_list_shows_all_and_marks_what_is_built(capsys):
    lines = run(capsys, "list").splitlines()
    assert [line.split()[0] for line in lines] == list(cards())
    rows = json.loads(run(capsys, "list", "--json"))
    assert {row["name"] for row in rows if row["status"] == "built"} == set(built())
    only = json.loads(run(capsys, "list", "--family", "core", "--json"))
    assert len(only) == 3
    assert "not built" not in run(capsys, "list", "--built")
    assert "no family" in run(capsys, "list", "--family", "xyz")


@pytest.mark.parametrize("name", built())
def test_a_page_has_settings(capsys, name):
    page = json.loads(run(capsys, "show", name, "--json"))
    assert page["card"]["name"] == name
    assert page["about"]
    assert all(f"{key} = " in run(capsys, "show", name) for key in page["settings"])


def test_a_page_of_what_is_not_built_is_its_card(capsys):
    assert page_of("langsplat")["settings"] == {}
    assert "not built" in run(capsys, "show", "mustafar")
    assert "the suite has no" in run(capsys, "show", "xyz")


def test_the_readmes_table_is_current():
    text = README.read_text(encoding="utf-8")
    assert renewed(text, README) == text, "run: langfield suite table"


def test_a_page_without_marks_is_refused_and_text_around_them_stays():
    with pytest.raises(FormatError, match="no marks"):
        renewed("text", README)
    assert renewed(f"a\n{BEGIN}\nold\n{END}\nb", README).startswith(f"a\n{BEGIN}\n| name")
    assert renewed(f"a\n{BEGIN}\nold\n{END}\nb", README).endswith(f"{END}\nb")
