"""Cards and tables agree; importing the suite imports no method."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from langfield.errors import SettingsError
from langfield.suite.cards import CORE, Card, cards, families
from langfield.suite.families import FAMILIES, built, method

SUITE = Path(__file__).parents[2] / "langfield" / "suite"
ROWS = [(family, name) for family, (table, _) in FAMILIES.items() for name in table]


def test_there_is_a_card_for_each_of_the_55_systems():
    assert len(cards()) == 55
    assert [c.family for c in cards().values()].count(CORE) == 3
    assert {c.family for c in cards().values()} == set(families())
    assert len({c.title for c in cards().values()}) == 55


@pytest.mark.parametrize("card", cards().values(), ids=lambda c: c.name)
def test_a_card_says_what_it_rests_on(card: Card):
    assert card.evidence in ("code", "partial", "abstract")
    for text in (card.title, card.paper, card.idea, card.code):
        assert text
        assert "|" not in text
        assert "\n" not in text


def test_every_method_that_is_built_has_its_card_in_its_family():
    assert {name: cards()[name].family for name in built()} == built()
    assert len(built()) == len(ROWS), "a name stands in two tables"


@pytest.mark.parametrize(("family", "name"), ROWS)
def test_a_row_is_one_small_file_in_its_familys_folder(family, name):
    module = FAMILIES[family][0][name]
    path = SUITE / family / f"{name.replace('-', '_')}.py"
    assert module == f"langfield.suite.{family}.{path.stem}"
    assert path.read_text().count("\n") <= 150
    others = {f"langfield.suite.{other}" for other in FAMILIES}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not any((node.module or "").startswith(other) for other in others), "a method imports another"
    assert cards()[name].paper in (method(family, name).__doc__ or "").replace("\n", " ")


def test_no_module_lies_beside_the_tables():
    for family, (table, _) in FAMILIES.items():
        files = {p.stem for p in (SUITE / family).glob("*.py")} - {"__init__"}
        assert files == {name.replace("-", "_") for name in table}


def test_importing_the_suite_imports_no_method_and_no_model():
    code = (
        "import sys, langfield.suite, langfield.suite.cards; from langfield.suite.families import FAMILIES;"
        "heavy = {'open_clip', 'transformers', 'onnxruntime', 'timm', 'langfield.suite.model'};"
        "methods = {m for table, _ in FAMILIES.values() for m in table.values()};"
        "print(sorted((heavy | methods) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_method_is_named():
    with pytest.raises(SettingsError, match="no method 'xyz'"):
        method("teach", "xyz")
