"""Run spoilt files through parsers in a process of its own, whose memory is bounded case by case.

python -m tests.fuzz.child OUT.json CASES NAME...        NAME@NUMBER runs a single case
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any

import torch

from langfield.artefacts import write_json
from langfield.errors import LangfieldError
from tests.fuzz.targets import MIB, TARGETS, Target, load_valid, spoilt

SLACK = 64 * MIB
SECONDS = 1.0
"""Of processor time, at most, for a case."""


def run_target(name: str, cases: range, folder: Path) -> dict[str, Any]:
    """Run a target's cases; the random numbers of a case follow from its name and number."""
    target = TARGETS[name]
    valid = load_valid(target)
    for files in valid:  # valid files are read, and warm up what is imported late
        put(files, folder)
        target.read(folder)
    found: dict[str, Any] = {"cases": 0, "read": 0, "refused": 0, "slowest_s": 0.0, "failures": []}
    for number in cases:
        rng = Random(f"{name}/{number}")
        files = spoilt(target, rng.choice(valid), rng)
        put(files, folder)
        outcome, seconds = timed_case(target, folder, sum(map(len, files.values())))
        if seconds > SECONDS:  # what a busy machine or a late import cost once is not what the file costs
            put(files, folder)
            outcome, seconds = timed_case(target, folder, sum(map(len, files.values())))
        found["cases"] += 1
        found["slowest_s"] = max(found["slowest_s"], round(seconds, 3))
        if outcome in ("read", "refused"):
            found[outcome] += 1
        if outcome not in ("read", "refused") or seconds > SECONDS:
            found["failures"].append({"case": f"{name}@{number}", "seconds": seconds, "outcome": outcome[-1500:]})
    return found


def timed_case(target: Target, folder: Path, size: int) -> tuple[str, float]:
    """Run a case; gives what `run_case` gives, and seconds of processor time."""
    start = time.process_time()
    outcome = run_case(target, folder, size)
    return outcome, time.process_time() - start


def run_case(target: Target, folder: Path, size: int) -> str:
    """Read once with memory bounded by the files' size; gives "read", "refused" or a traceback."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + SLACK + int(target.factor * size), limits[1]))
    try:
        target.read(folder)
    except LangfieldError:
        return "refused"
    except BaseException:  # whatever else leaves a parser is what is looked for
        return traceback.format_exc()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    return "read"


def put(files: dict[str, bytes], folder: Path) -> None:
    """Let a folder hold these files and no others."""
    for old in folder.rglob("*"):
        if old.is_file() and str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def main(out: Path, cases: int, names: list[str]) -> None:
    torch.set_num_threads(1)
    found = {}
    for name in names:
        target, _, number = name.partition("@")
        wanted = range(int(number), int(number) + 1) if number else range(cases)
        with tempfile.TemporaryDirectory() as folder:
            found[name] = run_target(target, wanted, Path(folder))
    write_json(out, found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
