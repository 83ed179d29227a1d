"""Methods as they are written by hand: "laclip:rewrites=2,own=0.5" is a method of a family and its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import ModuleType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from langfield.errors import SettingsError
from langfield.suite.families import method

WORDS = {"true": True, "yes": True, "false": False, "no": False}
MAX_SPEC = 2000


@dataclass(frozen=True)
class Chosen:
    """A method with its settings."""

    name: str
    module: ModuleType
    settings: Any
    """Of the module's `Settings`."""

    def needs(self, what: str) -> bool:
        """Tell whether it cannot do without something, such as "model"."""
        return what in self.module.NEEDS


def choose(family: str, spec: str) -> Chosen:
    """Read a method and its settings.

    Args:
        family: teach, ask, find, encode or diagnose.
        spec: "METHOD" or "METHOD:KEY=VALUE,KEY=VALUE"; texts of a list are parted by "|", "none" is no value.

    Raises:
        SettingsError: the family has no such method, or the method no such setting or value.
    """
    name, _, written = spec[:MAX_SPEC].partition(":")
    module = method(family, name.strip())
    hints = get_type_hints(module.Settings)
    known = {field.name: hints[field.name] for field in fields(module.Settings)}
    given: dict[str, Any] = {}
    for part in written.split(",") if written.strip() else []:
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if key not in known or not equals:
            remedy = f"settings of {name}: {', '.join(known)}"
            raise SettingsError(f"{name} has no setting {part.strip()!r}", remedy=remedy)
        given[key] = _read(value.strip(), known[key], f"{name}:{key}")
    return Chosen(name.strip(), module, module.Settings(**given))


def _read(text: str, kind: Any, where: str) -> Any:
    options, origin = get_args(kind), get_origin(kind)
    if NoneType in options:
        if text.lower() == "none":
            return None
        return _read(text, next(option for option in options if option is not NoneType), where)
    if origin is tuple:
        return tuple(_read(part, options[0], where) for part in text.split("|"))
    if origin is Literal:
        kind = str
    try:
        found = WORDS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise SettingsError(f"{text[:40]!r} is no {kind.__name__}", where, "write it as the page shows it") from error
    if origin is Literal and found not in options:
        raise SettingsError(f"{text[:40]!r} is no choice", where, f"choose one of: {', '.join(map(str, options))}")
    return found
