"""What the table must show, each as a number beside its bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langfield.commands.field_bench.rows import BASELINE, LIFTED
from langfield.commands.field_bench.table import Cell, apart, difference, summarise

OURS = "codebook"
FASTER_THAN_PUBLISHED, FASTER_THAN_FITTED, MOST_BYTES = 50, 5, 36


def check(cells: Mapping[str, Sequence[Cell]], rules: tuple[str, str]) -> list[dict[str, Any]]:
    """Hold the rows of one scene against what the codebook is claimed to do.

    Args:
        cells: by row, a cell per seed.
        rules: name of the baseline's own selection, and of ours.

    Returns:
        For each claim: `what`, `value`, `bar` and `met`.
    """
    rows = {name: summarise(cells[name]) for name in cells}
    ours, base = rows[OURS], rows[BASELINE]
    published = base["extrapolated_s"]["mean"] / ours["seconds"]["mean"]
    fitted = base["seconds"]["mean"] / ours["seconds"]["mean"]
    codes = ours["codes"]["mean"]
    return [
        _claim("times faster than LangSplat's 30,000 steps, extrapolated", published, FASTER_THAN_PUBLISHED),
        _claim("times faster than LangSplat fitted until it stands still", fitted, FASTER_THAN_FITTED),
        {"what": "bytes per Gaussian", "value": codes, "bar": f"<= {MOST_BYTES}", "met": codes <= MOST_BYTES},
        *_equals_identity(cells, rules[1]),
        *_beats_baseline(cells, rows, rules),
    ]


def _claim(what: str, value: float, least: float) -> dict[str, Any]:
    return {"what": what, "value": round(value, 1), "bar": f">= {least}", "met": value >= least}


def _equals_identity(cells: Mapping[str, Sequence[Cell]], rule: str) -> list[dict[str, Any]]:
    """The codebook is no worse where the interval of the paired difference over names reaches zero."""
    found = []
    for metric in ("2D localisation, map", "2D mIoU, map", f"3D mIoU, {rule}", f"3D Acc@0.25, {rule}"):
        less = difference(cells[OURS], cells[LIFTED[-1]], metric)
        found.append({
            "what": f"codebook - identity, {metric}", "value": less["mean"], "interval": less["over_names"],
            "bar": "interval over names reaches 0", "met": less["over_names"][1] >= 0,
        })  # fmt: skip
    return found


def _beats_baseline(
    cells: Mapping[str, Sequence[Cell]], rows: Mapping[str, Any], rules: tuple[str, str]
) -> list[dict[str, Any]]:
    """Above LangSplat's 3D mIoU: as each selects, and with one selection for both."""
    found = []
    for theirs, mine in (rules, (rules[1], rules[1]), (rules[0], rules[0])):
        low, high = rows[BASELINE][f"3D mIoU, {theirs}"], rows[OURS][f"3D mIoU, {mine}"]
        more = difference(cells[OURS], cells[BASELINE], f"3D mIoU, {mine}", f"3D mIoU, {theirs}")
        for over in ("over_seeds", "over_names"):
            found.append({
                "what": f"3D mIoU of codebook ({mine}) above LangSplat's ({theirs}), {over.replace('_', ' ')}",
                "value": more["mean"], "interval": more[over], "ours": high[over], "theirs": low[over],
                "bar": "intervals do not overlap", "met": apart(low[over], high[over]),
            })  # fmt: skip
    return found
