"""The families of the suite: which methods are built, each in one module of its family's folder."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from langfield.errors import SettingsError
from langfield.suite.ask import METHODS as ASK
from langfield.suite.diagnose import METHODS as DIAGNOSE
from langfield.suite.encode import METHODS as ENCODE
from langfield.suite.find import METHODS as FIND
from langfield.suite.teach import METHODS as TEACH

FAMILIES: dict[str, tuple[dict[str, str], str]] = {
    "teach": (TEACH, "fit"),
    "ask": (ASK, "ask"),
    "find": (FIND, "find"),
    "encode": (ENCODE, "modify"),
    "diagnose": (DIAGNOSE, "diagnose"),
}
"""Table of each family, and the function of its slot (`langfield.suite.slots`)."""


def built() -> dict[str, str]:
    """Give the family of every method that is built."""
    return {name: family for family, (table, _) in FAMILIES.items() for name in table}


def method(family: str, name: str) -> ModuleType:
    """Import one method.

    Raises:
        SettingsError: the family has no such method.
    """
    table = FAMILIES[family][0]
    if name not in table:
        other = built().get(name)
        if other is not None:
            own = f"methods of {family}: {', '.join(table)}"
            raise SettingsError(f"{name} belongs to the family {other}, not to {family}", remedy=own)
        known = ", ".join(table) or "none yet"
        raise SettingsError(f"{family} has no method {name!r}", remedy=f"choose one of: {known}")
    return import_module(table[name])
