"""`langfield features`: the segment table of a run, what it takes, and the way out to LangSplat's files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from langfield.commands.output import print_json, print_text
from langfield.errors import FormatError


def features(run: Annotated[Path, tyro.conf.Positional], export: Path | None = None, json: bool = False) -> None:
    """Say what a run's 2D features are and take, beside what LangSplat's layout would; write them in that layout.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        export: folder for LangSplat's files: NAME_s.npy and NAME_f.npy for every training view.
        json: print as JSON.
    """
    from langfield.interchange import export_features, feature_bytes
    from langfield.run import open_run

    opened = open_run(run)
    found = [(frame, each) for frame in opened.frames if (each := opened.features(frame)) is not None]
    if not found:
        raise FormatError("the run holds no 2D features", opened.path, "train it again; caches are used")
    first = found[0][1]
    report: dict[str, Any] = {"encoder": first.encoder(), "crops": first.table().get("crops", ["masked"])}
    report["size"] = feature_bytes([each for _, each in found])
    if export is not None:
        report["export"] = {"folder": export, "bytes": export_features(found, export)}
    if json:
        print_json(report)
    else:
        print_text(as_text(report))


def as_text(report: dict[str, Any]) -> str:
    """Give the report as a few lines for a person."""
    size = report["size"]
    lines = [
        f"{size['frames']} views, {size['segments']} segments, {' and '.join(report['crops'])} crops "
        f"by {report['encoder'].get('name', 'an unknown encoder')}",
        f"{size['bytes'] / 1e6:.1f} MB: id maps {size['id_map_bytes'] / 1e6:.1f}, "
        f"embeddings {size['embedding_bytes'] / 1e6:.1f}; in LangSplat's layout {size['langsplat_bytes'] / 1e6:.1f}, "
        f"{size['times_smaller']:g} times as much",
    ]
    if "export" in report:
        lines.append(f"written for LangSplat: {report['export']['folder']}")
    return "\n".join(lines)
