"""Captures with time and labels of what changes, flat: a file's name holds its folders, parted by "@"."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from langfield.capture import read_capture
from langfield.capture.types import Frame
from langfield.evaluate.dynamic_labels import read_outlines, read_queries
from langfield.evaluate.labels import draw_mask
from tests.blobs import look
from tests.timed import write_dnerf, write_nerfies, write_neu3d


def flattened(root: Path) -> Path:
    """Bring all files of a folder to its top."""
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        path.rename(root / "@".join(path.relative_to(root).parts))
    for folder in [p for p in root.iterdir() if p.is_dir()]:
        shutil.rmtree(folder)
    return root


def dnerf_folders(root: Path) -> list[Path]:
    return [flattened(write_dnerf(root / "a", {"train": 2, "test": 2}))]


def nerfies_folders(root: Path) -> list[Path]:
    return [flattened(write_nerfies(root / "a", 3))]


def neu3d_folders(root: Path) -> list[Path]:
    return [flattened(write_neu3d(root / "a", 2, 2))]


def use_capture(folder: Path) -> None:
    """Put the folders back in a place of its own and read what is there."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in folder.iterdir():
            place = Path(scratch, *file.name.split("@"))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
        capture = read_capture(Path(scratch))
        assert capture.points.xyz.isfinite().all()
        for frame in capture.frames:
            assert frame.camera.K.isfinite().all()
            assert frame.camera.T_world_camera.isfinite().all()
            assert frame.camera.time_s is None or np.isfinite(frame.camera.time_s)


def change_folders(root: Path) -> list[Path]:
    """Make questions in both layouts and outlines; one folder each, read by what is in it."""
    texts = {"mug": {"full mug": [[0, 3], [6, 8]], "broken mug": []}}
    rows = [{"text": "full mug", "kind": "sentence", "object": "mug", "intervals": [[0, 3]]}]
    square = [10, 10, 30.5, 10, 30, 20, 10, 20]
    outlines = {
        "categories": [{"id": 5, "name": "mug"}, {"id": 7, "name": "hat"}],
        "images": [{"id": 0, "file_name": "view.png", "width": 96, "height": 72}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 5, "segmentation": [square, square]},
            {"id": 1, "image_id": 0, "category_id": 7, "segmentation": [square], "bbox": [10, 10, 20, 10]},
        ],
    }
    for name, data in (("theirs", texts), ("ours", {"version": 1, "queries": rows}), ("outlines", outlines)):
        (root / name).mkdir(parents=True)
        (root / name / f"{name}.json").write_text(json.dumps(data))
    return sorted(root.iterdir())


def use_changes(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != "outlines.json":
            for query in read_queries(file):
                query.active(20)
            continue
        for query in read_outlines(file, [Frame("view.png", Path("view.png"), look(0.0))]).queries:
            assert np.isfinite(query.boxes).all()
            draw_mask(query.polygons, 72, 96)
