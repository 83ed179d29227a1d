"""Build the CPU kernels under a sanitizer and walk poisoned scenes through them, in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from langfield.raster.build import FLAGS

ROOT = Path(__file__).parents[3]
COMMON = (*(flag for flag in FLAGS if flag != "-O3"), "-O0", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
"""Without optimisation: compiling takes most of the time of a sample."""
SANITIZERS = {
    "memory": ("-fsanitize=address,undefined,float-cast-overflow",),
    "threads": ("-fsanitize=thread",),
}
RUNTIMES = {"memory": "libasan.so", "threads": "libtsan.so"}


def missing(name: str) -> str | None:
    """Say what a sanitizer lacks here, or None: its runtime is found beside the compiler."""
    if shutil.which("g++") is None:
        return "there is no g++"
    return None if Path(_library(RUNTIMES[name])).is_absolute() else f"g++ has no {RUNTIMES[name]}"


def _library(name: str) -> str:
    command = ["g++", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def walk(name: str, first: int, last: int, *more: str, timeout_s: float = 3600) -> subprocess.CompletedProcess[str]:
    """Draw the poisoned scenes of seeds first to last; a sanitizer that finds something ends the process.

    The runtimes are loaded before Python, so that every tensor the kernels get has a guarded end; the C++ library has
    to come with them, or exceptions of other modules are not found.
    """
    environment = {
        **os.environ,
        "LD_PRELOAD": f"{_library(RUNTIMES[name])} {_library('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own, at exit
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1 report_signal_unsafe=0",
    }
    command = [sys.executable, "-m", "tests.raster.sanitize.walk", name, str(first), str(last), *more]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
