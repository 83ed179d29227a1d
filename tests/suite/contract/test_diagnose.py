"""The contract of every report on what an encoder cannot tell apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from langfield.suite.families import method
from tests.suite.contract.common import check_settings, items, rows, some


@pytest.fixture(params=rows("diagnose"), scope="module")
def module(request: pytest.FixtureRequest) -> Any:
    return method("diagnose", request.param)


def test_rows_of_plain_data(module):
    report = module.diagnose(items())
    assert isinstance(report, list)
    assert all(isinstance(row, dict) for row in report)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_same_things_give_the_same_report(module):
    assert module.diagnose(items()) == module.diagnose(items())


def test_few_things_will_do(module):
    assert isinstance(module.diagnose(some(items(), [0])), list)
    assert module.diagnose(some(items(), [])) == []


@pytest.mark.parametrize("name", rows("diagnose"))
def test_settings(name):
    check_settings("diagnose", name)
