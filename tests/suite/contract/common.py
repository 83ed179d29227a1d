"""What the contract of every family asks of a row: its settings, its text, and the rows themselves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
import tyro

from langfield.suite.families import FAMILIES, method
from langfield.suite.head import Head


def rows(family: str) -> list[Any]:
    """Give the names of a family's methods as parameters; a skip that says so where there are none."""
    names = list(FAMILIES[family][0])
    return names or [pytest.param("", marks=pytest.mark.skip(reason=f"no method of {family} is built yet"))]


def check_settings(family: str, name: str) -> None:
    """Settings are a frozen dataclass of defaults that survives JSON and the command line."""
    kind: Any = method(family, name).Settings
    settings: Any = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings, dataclasses.fields(kind)[0].name, 0)
    assert kind(**json.loads(json.dumps(dataclasses.asdict(settings)))) == settings
    assert tyro.cli(kind, args=[]) == settings
    for field in dataclasses.fields(kind):
        value = getattr(settings, field.name)
        if isinstance(value, float):
            changed = dataclasses.replace(settings, **{field.name: value * 2 + 1})
            option = f"--{field.name.replace('_', '-')}"
            assert tyro.cli(kind, args=[option, repr(value * 2 + 1)]) == changed


def check_same(one: Head, other: Head, tolerance: float = 0.0) -> None:
    """Two heads say the same of anything, row by row."""
    assert (one.names, one.rows, one.scale, one.rivals) == (other.names, other.rows, other.scale, other.rivals)
    torch.testing.assert_close(one.weight, other.weight, rtol=tolerance, atol=tolerance * float(one.weight.abs().max()))
    torch.testing.assert_close(
        one.bias, other.bias, rtol=tolerance, atol=tolerance * max(1, float(one.bias.abs().max()))
    )
