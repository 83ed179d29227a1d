"""`langfield bench full`: every soak, fuzz and kill series of the project at its stated size, resumable."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import langfield
from langfield.artefacts import content_key, read_json, write_json
from langfield.errors import EnvironmentProblem, FormatError, LangfieldError
from langfield.progress import track

PARTS: dict[str, tuple[str, ...]] = {
    "agreement of backends": ("tests/raster/measure/test_agreement.py",),
    "poison": ("tests/raster/measure/test_poison.py",),
    "sanitizers": ("tests/raster/sanitize",),
    "PLY reader": ("tests/field/test_ply.py",),
    "SOG reader": ("tests/field/test_sog.py",),
    "COLMAP readers": ("tests/capture/test_colmap.py",),
    "point readers": ("tests/capture/test_points.py",),
    "transforms.json reader": ("tests/capture/test_transforms.py",),
    "files read back": ("tests/fuzz",),
    "views added and taken away": ("tests/field/test_incremental.py",),
    "a long online walk": ("tests/online/test_soak.py",),
    "viewer": ("tests/viewer/test_flood.py", "tests/viewer/test_keep.py"),
    "page of shards at size": ("tests/viewer/test_shard_page_large.py",),
    "kills": ("tests/plugin/test_kill.py", "tests/online/test_kill.py", "tests/online/test_kill_command.py"),
    "kills on a cluster": ("tests/cluster/test_kill.py",),
}
"""Name to the tests that look at `tests.series.cases`."""
SOURCES = ("*.py", "*.cpp", "*.cu", "*.cuh", "*.h")
TAIL = 3000
"""Characters of a failed part's output that are kept."""


def bench_full(out: Path, parts: Mapping[str, tuple[str, ...]] = PARTS) -> dict[str, Any]:
    """Run every series and write what was found after each; parts finished for the same sources are not run again.

    Args:
        out: JSON file; one that is there is gone on with.
        parts: name to pytest's arguments.

    Returns:
        What the file holds: the sources' key, and by part its key, seconds, counts and what its tests recorded.

    Raises:
        EnvironmentProblem: this is an installed package and not a checkout.
        LangfieldError: a part failed; the others have been run and all is in the file.
    """
    root = checkout()
    key = sources_key(root)
    known = _known(out)
    for name in track(list(parts), "bench full"):
        if known.get(name, {}).get("key") != key or known[name]["failed"]:
            known[name] = {"key": key, **run_part(root, parts[name])}
            write_json(out, {"sources": key, "parts": known})
    failed = [name for name in parts if known[name]["failed"]]
    if failed:
        raise LangfieldError(f"series failed: {', '.join(failed)}", out, "read their tails there")
    return {"sources": key, "parts": {name: known[name] for name in parts}}


def checkout() -> Path:
    """Give the folder of the checkout this package runs from.

    Raises:
        EnvironmentProblem: there are no tests beside the package.
    """
    root = Path(langfield.__file__).resolve().parents[1]
    if not (root / "tests" / "series.py").is_file():
        raise EnvironmentProblem(
            "the full series are part of the tests, which an installed package does not have", root,
            "run it in a checkout of the repository",
        )  # fmt: skip
    return root


def sources_key(root: Path) -> str:
    """Hash every source file of the package, its kernels, tools and tests."""
    folders = ("langfield", "cuda_kernels", "viewer", "tests")
    files = sorted({path for folder in folders for kind in SOURCES for path in (root / folder).rglob(kind)})
    return content_key([[str(p.relative_to(root)), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files])


def run_part(root: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Run tests at full size in a process of their own.

    Returns:
        seconds; passed, failed and skipped; tests, by name what each recorded; of a failure also tail.
    """
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "found.json"
        command = [sys.executable, "-m", "pytest", "--series", "full", "--found", str(report), *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
        tests = read_json(report) if report.is_file() else {}
    outcomes = [test["outcome"] for test in tests.values()]
    counts = {outcome: outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")}
    if done.returncode and not counts["failed"]:  # nothing was collected, or the process died
        counts["failed"] = 1
    found = {"seconds": round(time.monotonic() - start, 1), **counts, "tests": tests}
    return {**found, "tail": (done.stdout + done.stderr)[-TAIL:]} if counts["failed"] else found


def _known(out: Path) -> dict[str, Any]:
    """Give the parts of an earlier run; nothing where there is none or it is not such a file."""
    if not out.exists():
        return {}
    found = read_json(out)
    parts = found.get("parts") if isinstance(found, dict) else None
    whole = isinstance(parts, dict) and all(
        isinstance(p, dict) and {"key", "failed"} <= p.keys() for p in parts.values()
    )
    if not isinstance(parts, dict) or not whole:
        raise FormatError("not a report of bench full", out, "choose another file with --out")
    return parts
