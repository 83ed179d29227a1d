"""Compile the CPU kernels once per machine, into a cache that no half-written or foreign file can spoil."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import platformdirs

import langfield.cuda_kernels
from langfield.artefacts import atomic_path, one_at_a_time
from langfield.errors import EnvironmentProblem, StorageError
from langfield.progress import say

COMPILERS = ("g++", "c++", "clang++")
FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fopenmp-simd",
    "-pthread",
    "-fPIC",
    "-fno-math-errno",
    "-ffp-contract=fast",
)
_FIRST = Lock()
REMEDY = "install a C++ compiler (on Debian or Ubuntu: apt-get install g++)"


def source_folder() -> Path:
    """Give the folder of the kernel sources."""
    return Path(langfield.cuda_kernels.__file__).parent


def cache_folder() -> Path:
    """Give the folder of compiled kernels."""
    return Path(platformdirs.user_cache_dir("langfield")) / "kernels"


def compiler() -> str | None:
    """Give the path of a C++ compiler, or None where there is none."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise EnvironmentProblem(f"compiling the CPU kernels failed: {done.stderr.strip()[-600:]}", command[0], REMEDY)
    return done.stdout


def _cpu_flags() -> str:
    """Give what the processor can do, because -march=native depends on it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def library_path(cxx: str, folder: Path) -> Path:
    """Give where the library for these sources, flags, compiler and processor belongs."""
    sources = sorted([*source_folder().glob("cpu_*.cpp"), *source_folder().glob("*.cuh"), *source_folder().glob("*.h")])
    parts = [cxx, _run(cxx, "--version"), _cpu_flags(), *FLAGS, *(f"{s.name}\n{s.read_text()}" for s in sources)]
    return folder / f"cpu-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.so"


def build(cxx: str, target: Path) -> None:
    """Compile into `target`, sealed by its hash; processes that do so at the same time do not disturb each other.

    Raises:
        EnvironmentProblem: the compiler failed; its last words are in the message.
        StorageError: the cache cannot be written.
    """
    sources = sorted(source_folder().glob("cpu_*.cpp"))
    with tempfile.TemporaryDirectory() as folder, atomic_path(target) as temporary:
        objects = [str(Path(folder) / f"{path.stem}.o") for path in sources]
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(lambda path, to: _run(cxx, *FLAGS, "-c", str(path), "-o", to), sources, objects))
        _run(cxx, *FLAGS, "-shared", *objects, "-o", str(temporary))
        seal(temporary)


def seal(path: Path) -> None:
    """Append a file's hash to it, for `is_whole`."""
    code = path.read_bytes()
    path.write_bytes(code + hashlib.sha256(code).digest())


def is_whole(path: Path) -> bool:
    """Say whether a library is all that `build` wrote: loading one that was cut short kills the process."""
    data = path.read_bytes() if path.is_file() else b""
    return len(data) > 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]


def load(folder: Path) -> ctypes.CDLL:
    """Give the library in `folder`, compiled if it is missing and compiled anew once if it does not load.

    Raises:
        EnvironmentProblem: there is no compiler, or what it makes does not load.
    """
    cxx = compiler()
    if cxx is None:
        raise EnvironmentProblem("the compiled CPU rasterizer needs a C++ compiler and none was found", None, REMEDY)
    path = library_path(cxx, folder)
    if is_whole(path):
        try:
            return ctypes.CDLL(str(path))
        except OSError:  # from another system, for example: build it again below
            path.unlink(missing_ok=True)
    with one_at_a_time(folder):  # of processes that come together the first compiles
        if not is_whole(path):
            build(cxx, path)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise EnvironmentProblem(f"the compiled CPU kernels do not load: {error}", path, REMEDY) from error


def library() -> ctypes.CDLL:
    """Give the CPU kernels of this machine; loaded once per process, whichever thread asks first.

    Raises:
        EnvironmentProblem: there is no compiler, or what it makes does not load.
    """
    with _FIRST:
        return _library()


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        loaded = load(cache_folder())
    except StorageError as problem:
        say(f"Compiling the CPU kernels for this process alone: {problem}")
        with tempfile.TemporaryDirectory() as folder:  # once loaded, the file may go
            loaded = load(Path(folder))
    loaded.lf_count_tiles.restype = loaded.lf_chunk.restype = loaded.lf_keep_weights.restype = ctypes.c_int64
    loaded.lf_ssim.restype = ctypes.c_double
    return loaded
