"""`langfield suite`: the systems of the suite, what each is, and which are built."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import tyro

from langfield.commands.output import print_json, print_text
from langfield.commands.suite_bench import bench_model
from langfield.commands.suite_diagnose import diagnose, languages
from langfield.commands.suite_train import adapt, train
from langfield.errors import FormatError, SettingsError

BEGIN, END = "<!-- suite: begin (langfield suite table) -->", "<!-- suite: end -->"


def list_suite(family: str | None = None, built: bool = False, json: bool = False) -> None:
    """Show all systems of the suite.

    Args:
        family: only this one.
        built: only those that are built.
        json: print the cards as JSON.
    """
    from langfield.suite.cards import cards, families

    if family is not None and family not in families():
        raise SettingsError(f"there is no family {family!r}", remedy=f"choose one of: {', '.join(families())}")
    chosen = [c for c in cards().values() if family in (None, c.family) and not (built and c.status == "not built")]
    if json:
        print_json([vars(card) | {"status": card.status} for card in chosen])
        return
    for card in chosen:
        print_text(f"{card.name:<17} {card.family:<9} {card.status:<10} {card.idea}")


def show_method(method: Annotated[str, tyro.conf.Positional], json: bool = False) -> None:
    """Show one system: its card, how it is done here, and its settings.

    Args:
        method: a name from `langfield suite list`.
        json: print as JSON.
    """
    page = page_of(method)
    if json:
        print_json(page)
        return
    card = page["card"]
    lines = [f"{card['name']}: {card['title']}, {card['paper']}", card["idea"], ""]
    lines += [f"{key:<9} {value}" for key, value in card.items() if key not in ("name", "title", "paper", "idea")]
    lines += ["", page["about"]] if page["about"] else []
    lines += [f"  {name} = {value!r}" for name, value in page["settings"].items()]
    print_text("\n".join(lines))


def page_of(name: str) -> dict[str, Any]:
    """Give a system's card, and if it is built its module's text and settings.

    Raises:
        SettingsError: there is no such system.
    """
    from langfield.suite.cards import cards
    from langfield.suite.families import method

    known = cards()
    if name not in known:
        raise SettingsError(f"the suite has no {name!r}", remedy="see: langfield suite list")
    card = known[name]
    page: dict[str, Any] = {"card": vars(card) | {"status": card.status}, "about": "", "settings": {}}
    if card.status == "built":
        module = method(card.family, name)
        page |= {"about": inspect.cleandoc(module.__doc__ or ""), "settings": vars(module.Settings())}
    return page


def write_table(page: Annotated[Path, tyro.conf.Positional] = Path("README.md")) -> None:
    """Write the table of all systems into a page, between its two marks.

    Args:
        page: a Markdown page.
    """
    from langfield.artefacts import write_bytes

    write_bytes(page, renewed(page.read_text(encoding="utf-8"), page).encode())


def renewed(text: str, page: Path) -> str:
    """Give a page with the table as it should be now.

    Raises:
        FormatError: the page lacks the marks.
    """
    from langfield.suite.cards import table

    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FormatError("the page has no marks for the table", page, f"add the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


COMMANDS = {
    "list": list_suite,
    "show": show_method,
    "bench": bench_model,
    "diagnose": diagnose,
    "languages": languages,
    "train": train,
    "adapt": adapt,
    "table": write_table,
}
