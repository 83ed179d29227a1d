"""`langfield suite bench`: how good a model is in the toy world, and what the methods' papers claim, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langfield.commands.output import print_json, print_text
from langfield.errors import FormatError, SettingsError

FEWEST, MOST = 2, 10_000


def bench_model(
    model: str = "toy:good",
    scenes: int = 200,
    seed: int = 0,
    effects: tuple[str, ...] | None = None,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Examine a model on drawn scenes whose truth is known, or the claims of the suite's methods.

    Args:
        model: spec of the model, as `langfield.suite.spec.clip_model` reads it, such as "toy:bag".
        scenes: how many scenes each part is asked on.
        seed: of the first scene; the toy CLIPs were trained on seeds from a million on.
        effects: measure what these methods' papers claim, of all methods where none is named, for three seeds each.
        out: keep the measured effects in this JSON file; what is in it already is not measured again.
        json: print as JSON.
    """
    if effects is not None:
        bench_effects(effects, out, json)
        return
    from langfield.suite.spec import clip_model
    from langfield.suite.toy.card import PARTS
    from langfield.suite.toy.exam import Pupil, world_scores

    if not FEWEST <= scenes <= MOST or seed < 0:
        raise SettingsError(f"the bench takes {FEWEST} to {MOST} scenes and a seed from 0", f"{scenes}, {seed}")
    pupil = clip_model(model)
    scores = world_scores(Pupil(pupil, pupil), scenes, seed)
    if json:
        print_json({"model": model, "scenes": scenes, "seed": seed, "scores": scores})
        return
    rows = [f"{scores[name]:8.3f}  {what}" + (f" (chance {chance})" if chance else "")
            for name, (what, chance) in PARTS.items() if name in scores]  # fmt: skip
    print_text("\n".join([f"{model} on {scenes} scenes a part", *rows]))


def bench_effects(names: tuple[str, ...], out: Path | None, json: bool) -> None:
    """Measure claims and print them in one table; those that did not reproduce are said again below it."""
    from langfield.artefacts import write_json
    from langfield.suite.effects.measure import jobs, measure

    chosen, kept = jobs(names), read_rows(out)

    def keep(rows: list[dict[str, Any]]) -> None:
        if out is not None:
            write_json(out, {"effects": merged(kept, rows)})

    rows = measure(chosen, kept, keep)
    keep(rows)
    if json:
        print_json({"effects": rows})
        return
    print_text("\n".join(effect_lines(rows)))


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """Read rows of an earlier table; none where there is no file yet.

    Raises:
        FormatError: the file is no such table.
    """
    from langfield.artefacts import read_json

    if path is None or not path.exists():
        return []
    data = read_json(path, 2**20)
    rows = data.get("effects") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise FormatError("not a table of effects", path, "remove it, or name another file")
    return rows


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the new rows and those old ones whose methods were not measured now."""
    methods = {row["method"] for row in new}
    return [*(row for row in old if row["method"] not in methods), *new]


def effect_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Give the table: gains by seed, the margin asked for, and whether the claim reproduced."""
    lines = [f"{'method':<15} {'gain, seeds 0 1 2':<22} {'least':>6} {'held':<7} claim"]
    for row in rows:
        gains = " ".join(f"{after - before:+.3f}" for before, after in row["seeds"].values())
        least = "-" if row["least"] is None else f"{row['least']:.2f}"
        lines.append(f"{row['method']:<15} {gains:<22} {least:>6} {row['reproduced']:<7} {row['claim']}")
        lines.append(f"{'':<15} {row['measure']}; {row['ground']}")
    missed = [row for row in rows if row["reproduced"] != "yes"]
    lines.append("")
    lines.append(f"{len(rows) - len(missed)} of {len(rows)} claims reproduced" + (", but not:" if missed else ""))
    return lines + [f"  {row['method']}: {row['claim']} (mean gain {row['gain']:+.3f})" for row in missed]


def _is_row(row: Any) -> bool:
    texts = ("method", "claim", "key")
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in texts):
        return False
    seeds = row.get("seeds")
    numbers = seeds.values() if isinstance(seeds, dict) else [None]
    return all(isinstance(n, list) and len(n) == 2 and all(isinstance(x, (int, float)) for x in n) for n in numbers)
