"""Start CUDA kernels on torch's memory, stream and context, through PyCUDA.

PyCUDA has a context stack of its own in every thread and cannot take a foreign stream; torch runs backward passes in
threads of its own. So nothing of PyCUDA's stays current between calls: each call enters the device's primary context,
which torch uses too, and leaves it again.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import torch
from torch import Tensor

from langfield.errors import EnvironmentProblem
from langfield.progress import say
from langfield.raster import cuda_build
from langfield.raster.build import cache_folder

Size = tuple[int, int, int]
_FIRST = Lock()
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: ordered by what we say, not by the default stream."""


class Launcher(Protocol):
    """Something that runs kernels of `cuda_kernels/*.cu`: a GPU's, or the tests' emulator."""

    def __call__(self, kernel: str, grid: Size, block: Size, *arguments: Tensor | int | None) -> None:
        """Run a kernel.

        Args:
            kernel: its extern "C" name.
            grid: blocks.
            block: threads of a block.
            arguments: a tensor is passed as its pointer, None as the null pointer, a number as int64.
        """
        ...


class GpuLauncher:
    """Runs the kernels of some CUDA files on one GPU; all functions are looked up at once, so that none is in backward.

    Args:
        device: torch's number of the GPU.
        images: compiled code of each CUDA file.
        driver: the module pycuda.driver, initialised after torch's CUDA.
        debug: wait for every kernel, so that a fault is raised where it happened.
    """

    def __init__(self, device: int, images: Mapping[Path, bytes], driver: Any, debug: bool = False) -> None:
        self.device, self.driver, self.debug = device, driver, debug
        self._context = driver.Device(device).retain_primary_context()
        self._functions: dict[str, Any] = {}
        self._modules: list[Any] = []
        with self.entered():
            for source, code in images.items():
                module = driver.module_from_buffer(code)
                self._modules.append(module)
                for name, types in cuda_build.signatures([source]).items():
                    function = module.get_function(name)
                    function.prepare(["q" if t == "int64_t" else "P" for t in types])
                    self._functions[name] = function
            self._stream = driver.Stream(NON_BLOCKING)
            # Never destroyed: torch's allocator asks it about every tensor that was used on it, also after exit began.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._stream))
        self._external: Any = torch.cuda.ExternalStream(self._stream.handle, device=torch.device("cuda", device))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Make the GPU's primary context current in this thread, and what was current before again afterwards."""
        self._context.push()
        try:
            yield
        finally:
            self.driver.Context.pop()

    def __call__(self, kernel: str, grid: Size, block: Size, *arguments: Tensor | int | None) -> None:
        """Run a kernel after all that torch's current stream holds, and before what it gets next; see `Launcher`.

        Raises:
            EnvironmentProblem: the GPU refused the launch or, in debug mode, the kernel failed.
        """
        values = [a.data_ptr() if isinstance(a, Tensor) else a or 0 for a in arguments]
        current = torch.cuda.current_stream(self.device)
        with self.entered():
            if current.cuda_stream == 0:
                self._start(kernel, grid, block, None, values)
                return
            self._external.wait_stream(current)
            self._start(kernel, grid, block, self._stream, values)
            current.wait_stream(self._external)
        for tensor in arguments:
            if isinstance(tensor, Tensor):  # freed by its owner, it is not given to others before the kernel is done
                tensor.record_stream(self._external)

    def _start(self, kernel: str, grid: Size, block: Size, stream: Any, values: list[int]) -> None:
        try:
            self._functions[kernel].prepared_async_call(grid, block, stream, *values)
            if self.debug:
                self.driver.Context.synchronize()
        except self.driver.Error as error:
            cause = "" if self.debug else "; an earlier kernel may be the cause"
            where = f"grid {grid}, block {block}, cuda:{self.device}"
            remedy = "set CUDA_LAUNCH_BLOCKING=1 to see which kernel it was, and report it"
            raise EnvironmentProblem(f"the CUDA kernel {kernel} failed: {error}{cause}", where, remedy) from error

    def close(self) -> None:
        """Give modules and context back while CUDA still lives; at exit the order of things is anybody's."""
        if not self._modules and self._external is None:
            return
        with suppress(self.driver.Error):
            with self.entered():
                self._functions.clear()
                self._modules.clear()
                self._external = self._stream = None
            self._context.detach()


def launcher(device: int = 0, debug: bool = False) -> GpuLauncher:
    """Give the launcher of a GPU: kernels compiled if the cache lacks them, and loaded; one per process and GPU.

    Args:
        device: torch's number of the GPU.
        debug: wait for every kernel, so that a fault is raised where it happened.

    Raises:
        EnvironmentProblem: GPU, driver, PyCUDA or nvcc is missing, or they do not fit together.
    """
    with _FIRST:
        return _launcher(device, debug)


@functools.cache
def _launcher(device: int, debug: bool) -> GpuLauncher:
    made = load(device, cache_folder(), debug)
    atexit.register(made.close)
    return made


def load(device: int, folder: Path, debug: bool = False) -> GpuLauncher:
    """Give a launcher with the kernels of a cache folder, compiled anew once where what it held does not load.

    Raises:
        EnvironmentProblem: as `launcher`.
    """
    driver, compiler = require_driver(), require_nvcc()
    arch, files = cuda_build.architecture(torch.cuda.get_device_capability(device), compiler), cuda_build.sources()
    torch.empty(1, device=torch.device("cuda", device))  # torch makes the context, PyCUDA only joins it
    paths = [cuda_build.image_path(source, arch, compiler, folder) for source in files]
    if not all(path.is_file() for path in paths):
        say(f"compiling the CUDA kernels for {arch}, once")
    try:
        return GpuLauncher(device, cuda_build.images(arch, compiler, folder, files), driver, debug)
    except driver.Error:
        for path in paths:
            path.unlink(missing_ok=True)
    try:
        return GpuLauncher(device, cuda_build.images(arch, compiler, folder, files), driver, debug)
    except driver.Error as error:
        remedy = "update the NVIDIA driver, or install the CUDA toolkit that it names in nvidia-smi"
        raise EnvironmentProblem(f"the compiled CUDA kernels do not load: {error}", folder, remedy) from error


def require_driver() -> Any:
    """Give pycuda.driver, initialised after torch's own CUDA.

    Raises:
        EnvironmentProblem: torch sees no GPU, or PyCUDA or the driver's library is missing.
    """
    if not torch.cuda.is_available():
        build = "" if torch.version.cuda else f"; torch {torch.__version__} is a build without CUDA"
        raise EnvironmentProblem(f"torch sees no GPU{build}", None, "see `nvidia-smi`, or draw on the CPU")
    torch.cuda.init()
    try:
        import pycuda.driver as driver  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        remedy = "pip install 'pycuda>=2026.1' (it is built from source: nvcc must be on PATH)"
        raise EnvironmentProblem(
            "PyCUDA, which starts the CUDA kernels, is not installed", error.name, remedy
        ) from error
    except ImportError as error:
        remedy = "install the NVIDIA driver, then reinstall PyCUDA: pip install --force-reinstall --no-cache-dir pycuda"
        raise EnvironmentProblem(f"PyCUDA does not load: {error}", None, remedy) from error
    driver.init()
    return driver


def require_nvcc() -> str:
    """Give nvcc's path.

    Raises:
        EnvironmentProblem: there is none.
    """
    found = cuda_build.nvcc()
    if found is None:
        raise EnvironmentProblem("the CUDA rasterizer compiles its kernels and found no nvcc", None, cuda_build.REMEDY)
    return found
