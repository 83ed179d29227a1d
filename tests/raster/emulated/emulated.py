"""Run the CUDA kernels without a GPU: the .cu files compiled by g++, each CUDA thread a fiber (emulator.cpp)."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from langfield.artefacts import atomic_path, one_at_a_time
from langfield.raster import cuda_build
from langfield.raster.cuda_launch import Size

HERE = Path(__file__).parent
FLAGS = ("-std=c++17", "-O2", "-g1", "-fPIC", "-fno-gnu-unique", "-Wall", "-Wextra", "-Wno-unknown-pragmas")
CHECKS = ("-fsanitize=thread", "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize=vptr")
TYPES = {
    "float*": torch.float32,
    "double*": torch.float64,
    "int*": torch.int32,
    "int32_t*": torch.int32,
    "int64_t*": torch.int64,
    "uint8_t*": torch.uint8,
    "int16_t*": torch.int16,
}


class EmulationError(AssertionError):
    """A kernel did what CUDA does not allow, or was launched wrongly."""


@functools.cache
def compile_kernels(files: tuple[Path, ...], checked: bool = False) -> Path:
    """Compile .cu files to a library, kept in the temporary folder under the hash of everything it depends on.

    Args:
        files: CUDA files.
        checked: watch every memory access (checks.cpp): bounds, races, undefined arithmetic. Several times slower.
    """
    cxx = shutil.which("g++")
    assert cxx is not None
    runtime = [HERE / "emulator.cpp", HERE / ("checks.cpp" if checked else "unchecked.cpp")]
    headers = [
        *HERE.glob("*.h"),
        *HERE.glob("*.ld"),
        *(h for f in files for p in ("*.cuh", "*.h") for h in f.parent.glob(p)),
    ]
    texts = [p.read_text() for p in (*files, *runtime, *sorted(set(headers)))]
    version = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=True).stdout
    key = hashlib.sha256("\0".join([version, *FLAGS, *CHECKS, str(checked), *texts]).encode()).hexdigest()[:24]
    target = Path(tempfile.gettempdir()) / "langfield-emulated" / f"{key}.so"
    with one_at_a_time(target.parent):  # of test processes that come together the first compiles
        if not target.is_file():
            _compile(cxx, (*files, *runtime), len(files), checked, target)
    return target


def _compile(cxx: str, sources: Sequence[Path], kernels: int, checked: bool, target: Path) -> None:
    """Compile sources, the first of which are kernels."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for index, path in enumerate(sources):
            is_kernel = index < kernels
            extra = [*(CHECKS if checked else ()), "-include", str(HERE / "cuda_emulator.h")] if is_kernel else []
            command = [cxx, *FLAGS, *extra, "-x", "c++", "-c", str(path), "-o", f"{folder}/{index}.o"]
            jobs.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        errors = [job.communicate()[1] for job in jobs]
        if any(job.returncode for job in jobs):
            raise EmulationError("\n".join(errors))
        objects = [f"{folder}/{index}.o" for index in range(len(jobs))]
        gather = ["-r", "-nostdlib", "-Wl,--force-group-allocation", f"-Wl,-T,{HERE / 'shared.ld'}"]
        subprocess.run([cxx, *gather, *objects[:kernels], "-o", f"{folder}/kernels.o"], check=True)
        with atomic_path(target) as temporary:
            link = [cxx, "-shared", "-Wl,-Bsymbolic", f"{folder}/kernels.o", *objects[kernels:], "-o", str(temporary)]
            subprocess.run(link, check=True)


class EmulatedLauncher:
    """Runs kernels of the given files on CPU tensors.

    Args:
        files: CUDA files; those of `cuda_kernels/` where None.
        seed: 0 runs threads in order, any other number in a random one: results must not depend on it.
        checked: watch every memory access.
    """

    def __init__(self, files: Sequence[Path] | None = None, seed: int = 0, checked: bool = False) -> None:
        paths = tuple(cuda_build.sources() if files is None else files)
        self.signatures = cuda_build.signatures(list(paths))
        self.path = str(compile_kernels(paths, checked))
        self.library = ctypes.CDLL(self.path)
        self.seed = seed

    def __call__(self, kernel: str, grid: Size, block: Size, *arguments: Tensor | int | None) -> None:
        """Run a kernel; see `Launcher`.

        Raises:
            EmulationError: the arguments do not fit the kernel, or it did something that CUDA does not allow.
        """
        check_launch(kernel, grid, block)
        check_arguments(kernel, self.signatures[kernel], arguments)
        values = [a.data_ptr() if isinstance(a, Tensor) else a or 0 for a in arguments]
        memory = [n for a in arguments for n in ((a.data_ptr(), a.nbytes) if isinstance(a, Tensor) else (0, 0))]
        text = ctypes.create_string_buffer(600)
        failed = self.library.lf_emulate(
            ctypes.cast(getattr(self.library, kernel), ctypes.c_void_p),
            (ctypes.c_int64 * 6)(*grid, *block),
            (ctypes.c_int64 * len(values))(*values),
            (ctypes.c_int64 * len(memory))(*memory),
            ctypes.c_int64(len(values)),
            ctypes.c_uint64(self.seed),
            text,
            ctypes.c_int64(len(text)),
        )
        if failed:
            raise EmulationError(f"{kernel}<<<{grid}, {block}>>> {self._with_lines(text.value.decode())}")

    def _with_lines(self, text: str) -> str:
        """Put file and line where the message has offsets into the library, written @hex@."""

        def line(offset: re.Match[str]) -> str:
            command = ["addr2line", "-s", "-i", "-e", self.path, offset[1]]
            frames = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
            frames = [f.split(" ")[0] for f in frames]
            return next((f for f in frames if not f.startswith("cuda_emulator.h")), offset[0])

        return re.sub("@([0-9a-f]+)@", line, text) if shutil.which("addr2line") else text


def check_launch(kernel: str, grid: Size, block: Size) -> None:
    """Check sizes against what every GPU since sm_75 takes."""
    threads = block[0] * block[1] * block[2]
    fits = 0 < threads <= 1024 and block[2] <= 64 and 0 < grid[0] < 2**31 and 0 < min(grid[1:]) <= max(grid[1:]) < 65536
    if not fits:
        raise EmulationError(f"{kernel}<<<{grid}, {block}>>>: no GPU takes this launch shape")


def check_arguments(kernel: str, wanted: Sequence[str], given: Sequence[Tensor | int | None]) -> None:
    """Check that pointers get contiguous tensors of their type, and numbers numbers."""
    if len(wanted) != len(given):
        raise EmulationError(f"{kernel} takes {len(wanted)} arguments, got {len(given)}")
    for place, (type_name, value) in enumerate(zip(wanted, given, strict=True)):
        where = f"{kernel}, argument {place} ({type_name})"
        if not type_name.endswith("*"):
            good = type_name == "int64_t" and isinstance(value, int)
        elif isinstance(value, Tensor):
            good = value.is_contiguous() and value.dtype == TYPES.get(type_name.removeprefix("const "), value.dtype)
            good = good and value.device.type == "cpu"
        else:
            good = value is None
        if not good:
            what = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
            raise EmulationError(f"{where}: got {what}; kernels take pointers to contiguous tensors and int64_t only")
