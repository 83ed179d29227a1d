"""Start CUDA kernels on torch's memory."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

Size = tuple[int, int, int]


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
