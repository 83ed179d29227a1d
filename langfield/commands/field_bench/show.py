"""The table for people, on a terminal and as Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from langfield.commands.field_bench.score import RULES

NOTES = (
    "Per row: mean over seeds ± 95 % half-width over seeds (Student's t), then the 95 % bootstrap interval over names. "
    "A seed draws geometry, codec and order of views anew; masks and embeddings have no seed.",
    "LangSplat: three numbers a level, the autoencoder's published layers, codes from zero with Adam at 0.0025 and L1 "
    "on pixels with a mask, until the mean L1 of 500 steps is within 1 % of the 500 before. Seconds in brackets are "
    "extrapolated: 30,000 steps, all three levels in one pass, at the milliseconds a step took.",
    "2D, lerf-ovs-2d: peak and mask of the relevancy map by LangSplat's rule, and beside them the thing that fits best "
    "as the view shows it.",
    "3D, lerf-ovs-3d: selected Gaussians are drawn alone and compared with the labels. Every row is selected from in "
    "every way. Range: relevancy of each Gaussian's decoded code in the upper three tenths of the range, at the level "
    "where it goes highest; what LangSplat's rule for pixels gives on Gaussians, and how tables of the papers select. "
    "Things: the Gaussians of the thing that fits best, things being segments of all views that share Gaussians "
    "(`query.things.select`, what `langfield query` gives). A lifted field has them from its embeddings; LangSplat's, "
    "which has none, gets the same things with what its own codes decode to on their Gaussians.",
    "Seconds run from 2D features on disk to a field that can be asked. Query: a text, encoded beforehand, to the "
    "relevancy of every pixel of a labelled view at full size; in brackets the next text to the same view. "
    "Bytes: codes, and after the plus what is kept beside them: reliability per level, and the things with their rows.",
)
FLAT_HEAD = tuple(f"2D {metric}, {rule}" for rule in ("map", "things") for metric in ("localisation", "mIoU"))
SOLID_HEAD = tuple(f"3D {metric}, {rule}" for rule in dict.fromkeys(RULES) for metric in ("mIoU", "Acc@0.25"))
HEAD = ("", *FLAT_HEAD, *SOLID_HEAD, "seconds", "bytes a Gaussian", "query ms")


def as_text(found: Mapping[str, Any]) -> str:
    """Give all scenes' tables for a terminal."""
    out = Console(file=io.StringIO(), width=180, highlight=False)
    for name, scene in found["scenes"].items():
        drawn = Table(title=_title(name, scene, found["seeds"]), title_justify="left")
        for i, head in enumerate(HEAD):
            drawn.add_column(head, justify="right" if i else "left")
        for cells in table_rows(scene):
            drawn.add_row(*cells)
        out.print(drawn)
        out.print("\n".join(_claims(scene)) + "\n")
    out.print("\n".join(found["notes"]))
    return out.file.getvalue().rstrip()  # type: ignore[attr-defined]


def as_markdown(found: Mapping[str, Any]) -> str:
    """Give all scenes' tables as a Markdown page."""
    parts = ["# Language fields of the same Gaussians and 2D features, made in four ways", *found["notes"]]
    for name, scene in found["scenes"].items():
        lines = [HEAD, ("---",) * len(HEAD), *table_rows(scene)]
        parts.append(f"## {_title(name, scene, found['seeds'])}")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        parts.append("\n".join(f"- {line}" for line in _claims(scene)))
    return "\n\n".join(parts) + "\n"


def _title(name: str, scene: Mapping[str, Any], seeds: int) -> str:
    asked = f"{scene['queries']} queries of {scene['names']} names"
    return f"{name}: {scene['views']} training views, {asked}, {seeds} seeds"


def table_rows(scene: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Give a scene's rows as text, in the order of `HEAD`."""
    return [(name, *(_cell(head, row) for head in HEAD[1:])) for name, row in scene["rows"].items()]


def _cell(head: str, row: Mapping[str, Any]) -> str:
    special: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
        "seconds": _seconds, "bytes a Gaussian": _bytes, "query ms": _milliseconds,
    }  # fmt: skip
    if head in special:
        return special[head](row)
    value = row[head]
    low, high = value["over_names"]
    return f"{_with_half(value, 3)} ({low:.2f}-{high:.2f})"


def _with_half(value: Mapping[str, Any], digits: int) -> str:
    text = f"{value['mean']:.{digits}f}"
    if value["over_seeds"] is None:
        return text
    return f"{text} ± {value['over_seeds'][1] - value['mean']:.{digits}f}"


def _seconds(row: Mapping[str, Any]) -> str:
    text = _with_half(row["seconds"], 1)
    return f"{text} ({row['extrapolated_s']['mean']:.0f})" if "extrapolated_s" in row else text


def _bytes(row: Mapping[str, Any]) -> str:
    beside = row["reliability"]["mean"] + row["things"]["mean"]
    return f"{row['codes']['mean']:.0f}" + (f" + {beside:.0f}" if beside else "")


def _milliseconds(row: Mapping[str, Any]) -> str:
    return f"{row['drawn_ms']['mean']:.0f} ({row['again_ms']['mean']:.0f})"


def _claims(scene: Mapping[str, Any]) -> list[str]:
    return [f"{'met' if one['met'] else 'NOT MET'}: {_claim(one)} (bar: {one['bar']})" for one in scene["claims"]]


def _claim(one: Mapping[str, Any]) -> str:
    value = f"{one['value']:.3g}" if isinstance(one["value"], float) else str(one["value"])
    pairs = [
        f"{name} {one[name][0]:.3f} to {one[name][1]:.3f}" for name in ("interval", "ours", "theirs") if one.get(name)
    ]
    return f"{one['what']}: {value}" + (f" ({'; '.join(pairs)})" if pairs else "")
