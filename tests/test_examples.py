"""Every example runs and does what it says."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from langfield.suite.families import FAMILIES
from tests.suite_run import NAMES, suite_run

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(suite_run(tmp_path_factory.mktemp("run")))


def example(name: str) -> Any:
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_every_family_has_one():
    assert {path.stem for path in EXAMPLES.glob("*.py")} >= set(FAMILIES)


def test_they_run(folder, tmp_path, capsys):
    assert set(example("ask")(folder, NAMES[2]).values()) == {3}
    assert example("teach")(folder, "my ball", 1) == 1
    assert (Path(folder) / "heads" / "example.safetensors").is_file()
    links = example("find")(folder, str(suite_run(tmp_path, 5)), NAMES)
    assert set(links.values()) == {4}
    assert all(pair["same"] > -1 for pair in example("diagnose")(folder, -1.0))
    assert example("encode")() > 20
    assert "bit for bit: True" in capsys.readouterr().out
