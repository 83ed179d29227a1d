"""The card of a trained bridge, and the one function that trains, measures and describes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langfield.artefacts import write_bytes
from langfield.suite.bridge import TextBridge
from langfield.suite.bridge_eval import Retrieval, names_report
from langfield.suite.bridge_train import Recipe, train
from langfield.suite.minilm import load as load_minilm
from langfield.suite.tables import Table, read_tables

CARD = """# Text bridge: MiniLM and word vectors to CLIP ViT-B/16's text space

**What it is.** A small model that guesses the vector CLIP ViT-B/16 (OpenAI) would give to a name: the mean of real
CLIP vectors of its words and phrases, plus a kernel regression (with MiniLM-L6-v2 sentence vectors) of what that mean
misses. It is used where no CLIP text tower can be had. File: `bridge.safetensors`, {size} bytes.

**What it is not.** It is not CLIP's text tower. It knows names of things; prompts, templates, long sentences, counts,
negations and relations count for less or for nothing. Its vectors stand {sharpness:g} times as far from the mean text
vector as real ones (so that unsure guesses do not look like every name), hence their cosine to real ones is lower than
it could be, while the right name is found more often.

**Data.** {tables}. Names held out of all training: {held} of the anchor table, drawn with seed {seed}; this very file
never saw them, so the numbers below can be measured on it again.

| held-out names | count | cosine | nearest of all names is right | among the nearest five |
|---|---|---|---|---|
{rows}

**Licence.** {licence}.

**Made by** `langfield weights bridge --tables DIR --out DIR`; `langfield weights table` writes tables with a real text
tower, and a bridge trained from those alone carries none of the restrictions of the published tables.
"""


def train_and_describe(tables_folder: Path, out: Path, recipe: Recipe | None = None) -> dict[str, Any]:
    """Train a bridge from a folder of tables, measure it on its held-out names, and write file and card.

    Args:
        tables_folder: npz tables, see `tables.read_table`.
        out: gets `bridge.safetensors` and `README.md`.
        recipe: None for 240 held-out names, seed 0.

    Raises:
        FormatError: a table is damaged.
        SettingsError: the tables do not suffice.
        EnvironmentProblem: MiniLM is not on this machine.
    """
    recipe = recipe or Recipe()
    tables, sentences = read_tables(tables_folder), load_minilm()
    path = train(tables, sentences, recipe, out)
    report = names_report(TextBridge(out, sentences), tables, recipe) if recipe.held_out else {}
    write_bytes(out / "README.md", card(path, tables, recipe, report).encode())
    return report


def card(path: Path, tables: Sequence[Table], recipe: Recipe, report: dict[str, Retrieval]) -> str:
    """Write the card of a trained bridge."""
    rows = [
        f"| {group} | {r.names} | {r.cosine:.3f} | {r.right:.3f} | {r.among_five:.3f} |" for group, r in report.items()
    ]
    return CARD.format(
        size=path.stat().st_size,
        sharpness=recipe.shape.sharpness,
        tables="Text tables: " + ", ".join(f"{t.name} ({len(t.names)} names)" for t in tables),
        held=recipe.held_out,
        seed=recipe.seed,
        rows="\n".join(rows) or "| (none held out) | | | | |",
        licence=recipe.licence,
    )
