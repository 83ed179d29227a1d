"""Every CUDA file compiles for every GPU without a warning, and the page says what its kernels take."""

import shutil
import subprocess
from pathlib import Path

import pytest

from langfield.errors import EnvironmentProblem
from langfield.raster import cuda_build
from langfield.raster.measure import cuda_report
from langfield.raster.measure.cuda_report import GPUS, Resources, occupancy

PAGE = Path(__file__).parents[3] / "cuda_kernels" / "README.md"
needs_nvcc = pytest.mark.skipif(cuda_build.nvcc() is None, reason="no nvcc on this machine")


def kernel(threads: int, registers: int, shared: int = 0, arch: str = "sm_80") -> Resources:
    return Resources("a.cu", "a", arch, threads, registers, 0, 0, shared)


@pytest.fixture(scope="module")
def report() -> list[Resources]:
    """The gate itself: this raises where a file does not compile without a warning."""
    return cuda_report.report(cuda_build.sources(), str(cuda_build.nvcc()))


@needs_nvcc
def test_every_kernel_compiles_for_every_gpu_without_a_warning(report):
    assert {(r.kernel, r.arch) for r in report} == {
        (name, arch) for name in cuda_build.signatures(cuda_build.sources()) for arch in GPUS
    }


@needs_nvcc
def test_every_kernel_says_how_many_threads_it_takes_and_fits_every_gpu(report):
    for r in report:
        assert r.threads > 0, f"{r.kernel} has no __launch_bounds__"
        assert r.shared_bytes <= 48 * 1024, r.kernel
        assert r.occupancy > 0, (r.kernel, r.arch)


@needs_nvcc
def test_the_page_is_current(report):
    compiler = str(cuda_build.nvcc())
    written = cuda_report.page_table(PAGE.read_text())
    if cuda_build.version(compiler) not in written:
        pytest.skip("the page was written with another nvcc")
    assert written == cuda_report.table(report, compiler), "run: uv run python .ci/kernel_table.py"


@needs_nvcc
def test_a_warning_is_an_error_and_spills_are_seen(tmp_path):
    source = tmp_path / "bad.cu"
    source.write_text('extern "C" __global__ void bad(float* a) { int unused; a[0] = 1; }\n')
    with pytest.raises(EnvironmentProblem, match="unused"):
        cuda_report.report([source], str(cuda_build.nvcc()), ["sm_80"])


def test_what_ptxas_writes_is_understood():
    said = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_75'
ptxas info    : Function properties for one
    32 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 2048 bytes smem, 376 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_90'
ptxas info    : Function properties for two
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 31 registers
"""
    assert cuda_report._entries(said) == [("one", "sm_75", (40, 20, 32, 2048)), ("two", "sm_90", (31, 0, 0, 0))]


@pytest.mark.parametrize(
    ("resources", "share", "limit"),
    [
        (kernel(256, 32), 1.0, "warps"),
        (kernel(256, 33), 0.75, "registers"),  # 40 registers with granularity: 51 warps, 48 in whole blocks
        (kernel(128, 64, arch="sm_86"), 32 / 48, "registers"),
        (kernel(1024, 32, arch="sm_86"), 32 / 48, "warps"),  # a second block of 32 warps does not fit 48
        (kernel(32, 16), 0.5, "blocks"),
        (kernel(256, 32, 48 * 1024, "sm_75"), 8 / 32, "shared memory"),
        (kernel(256, 32, 48 * 1024, "sm_80"), 24 / 64, "shared memory"),  # 49 kB each with the system's: 3 of 164
        (kernel(256, 255, arch="sm_90"), 8 / 64, "registers"),
        (kernel(0, 32), 1.0, "warps"),
    ],
)
def test_occupancy_by_hand(resources, share, limit):
    assert occupancy(resources, GPUS[resources.arch]) == (share, limit)


def test_the_table_goes_between_its_markers():
    once = cuda_report.into_page("# Kernels\n\nProse.\n", "| a |")
    again = cuda_report.into_page(once + "\nMore prose.\n", "| b |")
    assert cuda_report.page_table(once) == "| a |"
    assert cuda_report.page_table(again) == "| b |"
    assert again.startswith("# Kernels\n\nProse.\n")
    assert again.endswith("\nMore prose.\n")
    assert "| a |" not in again


def test_the_shared_math_is_plain_cpp():
    cxx = shutil.which("g++")
    if cxx is None:
        pytest.skip("no g++ on this machine")
    header = cuda_build.source_folder() / "gaussian_math.cuh"
    command = [cxx, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-"]
    text = f'#include "{header}"\nint main() {{ return 0; }}\n'
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
