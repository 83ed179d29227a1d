"""Writes what each CUDA kernel takes of a GPU into cuda_kernels/README.md: `uv run python .ci/kernel_table.py`."""

from pathlib import Path

from langfield.raster import cuda_build
from langfield.raster.cuda_launch import require_nvcc
from langfield.raster.measure import cuda_report

PAGE = Path(__file__).parents[1] / "cuda_kernels" / "README.md"


def main() -> None:
    """Compile for every GPU and put the table between its markers."""
    compiler = require_nvcc()
    found = cuda_report.report(cuda_build.sources(), compiler)
    PAGE.write_text(cuda_report.into_page(PAGE.read_text(), cuda_report.table(found, compiler)))


main()
