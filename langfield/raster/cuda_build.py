"""What the CUDA sources hold, and how nvcc turns them into code for one GPU, kept where no bad file can spoil it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from langfield.artefacts import atomic_path
from langfield.errors import EnvironmentProblem
from langfield.raster.build import is_whole, seal, source_folder

FLAGS = ("-std=c++17", "-O3", "-lineinfo", "-Werror", "all-warnings")
REMEDY = "install the CUDA toolkit, whose nvcc belongs on PATH or in /usr/local/cuda/bin"
OLDEST = 75
"""Compute capability that the kernels are written for, times ten."""
TOOLKIT = Path("/usr/local/cuda/bin/nvcc")

_BOUNDS = r"(?:__launch_bounds__\([^)]*\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^)]*)\)")
_WORD = re.compile(r"^#define (\w+) +(\S.*)$", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def sources() -> list[Path]:
    """Give the CUDA files."""
    return sorted(source_folder().glob("*.cu"))


def signatures(files: Sequence[Path]) -> dict[str, list[str]]:
    """Give the types of every kernel's arguments, such as "const float*" or "int64_t", by the kernel's name."""
    found = {}
    for path in files:
        text = _COMMENT.sub(" ", path.read_text()).replace("\\\n", " ")
        for word, meaning in _WORD.findall(text):  # argument lists that several kernels share
            text = re.sub(rf"\b{word}\b", lambda _, meaning=meaning: meaning, text)
        for name, arguments in _KERNEL.findall(text):
            found[name] = [_type_of(a) for a in arguments.split(",") if a.strip()]
    return found


def _type_of(argument: str) -> str:
    words = argument.replace("*", " * ").replace("__restrict__", " ").split()
    return " ".join(words[:-1]).replace(" *", "*")


def nvcc() -> str | None:
    """Give the path of the CUDA compiler: of PATH, of the toolkit's usual folder, or of a Python package."""
    if found := shutil.which("nvcc"):
        return found
    package = importlib.util.find_spec("nvidia")
    folders = [Path(p) for p in (package.submodule_search_locations or ())] if package else []
    places = [TOOLKIT, *(path for folder in folders for path in sorted(folder.glob("*/bin/nvcc")))]
    return next((str(path) for path in places if path.is_file()), None)


def run_nvcc(compiler: str, *arguments: str) -> tuple[str, str]:
    """Run nvcc and give what it wrote to standard output and standard error.

    Raises:
        EnvironmentProblem: it failed; its errors are in the message.
    """
    done = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        words = done.stderr.strip() or done.stdout.strip()
        lines = [line for line in words.splitlines() if "error" in line.lower()] or words.splitlines()
        raise EnvironmentProblem(f"compiling the CUDA kernels failed: {' '.join(lines)[-600:]}", compiler, REMEDY)
    return done.stdout, done.stderr


@functools.cache
def version(compiler: str) -> str:
    """Give nvcc's version and build, such as "release 13.0, V13.0.88"."""
    text, _ = run_nvcc(compiler, "--version")
    found = re.search(r"release [\d.]+, V[\d.]+", text)
    return found[0] if found else text.strip()


@functools.cache
def _codes(compiler: str) -> list[int]:
    text, _ = run_nvcc(compiler, "--list-gpu-code")
    return sorted(int(number) for number in re.findall(r"sm_(\d+)\s", text + "\n"))


def targets(compiler: str, archs: Sequence[str]) -> list[str]:
    """Give nvcc's options for code of these GPUs, all from one intermediate code: what one runs is what all run."""
    oldest = max(OLDEST, _codes(compiler)[0])
    return [word for arch in archs for word in ("-gencode", f"arch=compute_{oldest},code={arch}")]


def architecture(capability: tuple[int, int], compiler: str) -> str:
    """Give the newest code that this nvcc makes and a GPU of this compute capability runs.

    Args:
        capability: major and minor number, as torch gives it.
        compiler: nvcc.

    Raises:
        EnvironmentProblem: toolkit and GPU do not meet.
    """
    made = _codes(compiler)
    major, minor = capability
    fitting = [code for code in made if code // 10 == major and code % 10 <= minor]
    if fitting:
        return f"sm_{fitting[-1]}"
    remedy = "install a newer CUDA toolkit"
    if made and 10 * major + minor < made[0]:
        remedy = "install an older CUDA toolkit, one that still knows this GPU"
    known = f"sm_{made[0]} to sm_{made[-1]}" if made else "no GPU that it names"
    raise EnvironmentProblem(
        f"nvcc {version(compiler)} compiles for {known}, the GPU is sm_{major}{minor}", compiler, remedy
    )


def image_path(source: Path, arch: str, compiler: str, folder: Path) -> Path:
    """Give where the code of one CUDA file for one GPU belongs: named by everything that it depends on."""
    headers = sorted([*source.parent.glob("*.cuh"), *source.parent.glob("*.h")])
    parts = [compiler, version(compiler), arch, *FLAGS, *(f"{p.name}\n{p.read_text()}" for p in (source, *headers))]
    return folder / f"{source.stem}-{arch}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:32]}.cubin"


def image(source: Path, arch: str, compiler: str, folder: Path) -> bytes:
    """Give the code of one CUDA file, compiled where the cache lacks it or holds a part of it.

    Raises:
        EnvironmentProblem: nvcc failed.
        StorageError: the cache cannot be written.
    """
    path = image_path(source, arch, compiler, folder)
    if not is_whole(path):
        with atomic_path(path) as temporary:
            run_nvcc(compiler, *FLAGS, *targets(compiler, [arch]), "-cubin", "-o", str(temporary), str(source))
            seal(temporary)
    return path.read_bytes()[:-32]


def images(arch: str, compiler: str, folder: Path, files: Sequence[Path]) -> dict[Path, bytes]:
    """Give the code of several CUDA files, compiled side by side."""
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda source: image(source, arch, compiler, folder), files)
        return dict(zip(files, found, strict=True))
