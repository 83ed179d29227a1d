"""CUDA sources become code for one GPU, once, whoever else does so at the same time."""

import multiprocessing
from pathlib import Path

import pytest

from langfield.errors import EnvironmentProblem
from langfield.raster import cuda_build

TINY = """#include <cstdint>
extern "C" __global__ void tiny(const float* in, float* out, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i] + 1;
}
"""


@pytest.fixture
def nvcc() -> str:
    found = cuda_build.nvcc()
    if found is None:
        pytest.skip("no nvcc on this machine")
    return found


@pytest.fixture
def tiny(tmp_path) -> Path:
    path = tmp_path / "tiny.cu"
    path.write_text(TINY)
    return path


def make_stand_in(folder: Path, codes: str = "sm_75 sm_80 sm_86 sm_90", then: str = "exit 1") -> str:
    """A script that answers as nvcc does, for what can be said without one."""
    path = folder / "nvcc"
    path.write_text(f"""#!/bin/sh
case "$1" in
  --version) echo "Cuda compilation tools, release 13.0, V13.0.88" ;;
  --list-gpu-code) printf '%s\\n' {codes} ;;
  *) {then} ;;
esac
""")
    path.chmod(0o755)
    return str(path)


def test_signatures_see_names_and_types(tmp_path):
    source = tmp_path / "a.cu"
    source.write_text(
        """// extern "C" __global__ void in_a_comment(int x)
        extern "C" __global__ void __launch_bounds__(256) one(const float* __restrict__ a, int64_t n,
            int* b /* c, d */) {}
        extern "C" __global__ __launch_bounds__(64, 2) void two(
            unsigned char *p,  // a picture
            const int64_t *q) {}
        __device__ void not_a_kernel(int x) {}"""
    )
    found = cuda_build.signatures([source])
    assert found == {"one": ["const float*", "int64_t", "int*"], "two": ["unsigned char*", "const int64_t*"]}


def test_every_kernel_keeps_the_one_abi():
    for name, types in cuda_build.signatures(cuda_build.sources()).items():
        assert all(t == "int64_t" or t.endswith("*") for t in types), name


@pytest.mark.parametrize(
    ("capability", "arch"), [((7, 5), "sm_75"), ((8, 6), "sm_86"), ((8, 9), "sm_86"), ((9, 0), "sm_90")]
)
def test_the_newest_code_that_the_gpu_runs(tmp_path, capability, arch):
    assert cuda_build.architecture(capability, make_stand_in(tmp_path)) == arch


def test_toolkit_and_gpu_that_do_not_meet(tmp_path):
    compiler = make_stand_in(tmp_path)
    with pytest.raises(
        EnvironmentProblem, match=r"V13.0.88 compiles for sm_75 to sm_90, the GPU is sm_70 .*older CUDA"
    ):
        cuda_build.architecture((7, 0), compiler)
    with pytest.raises(EnvironmentProblem, match=r"the GPU is sm_120 .*newer CUDA toolkit"):
        cuda_build.architecture((12, 0), compiler)


def test_a_failing_nvcc_is_quoted(tmp_path, tiny):
    compiler = make_stand_in(tmp_path, then='echo "tiny.cu(3): error: no such thing" >&2; exit 2')
    with pytest.raises(EnvironmentProblem, match="no such thing"):
        cuda_build.image(tiny, "sm_80", compiler, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_image_is_compiled_once_and_again_when_cut(tmp_path, tiny):
    count = tmp_path / "count"
    compiler = make_stand_in(
        tmp_path, then=f'echo x >> {count}; while [ "$1" != -o ]; do shift; done; echo code > "$2"'
    )
    cache = tmp_path / "cache"
    assert cuda_build.image(tiny, "sm_80", compiler, cache) == b"code\n"
    assert cuda_build.image(tiny, "sm_80", compiler, cache) == b"code\n"
    assert count.read_text() == "x\n"
    path = cuda_build.image_path(tiny, "sm_80", compiler, cache)
    path.write_bytes(path.read_bytes()[:20])
    assert cuda_build.image(tiny, "sm_80", compiler, cache) == b"code\n"
    (tmp_path / "math.cuh").write_text("// a header that the kernel may use\n")
    cuda_build.image(tiny, "sm_80", compiler, cache)
    cuda_build.image(tiny, "sm_86", compiler, cache)
    assert count.read_text() == "x\n" * 4


def test_eight_processes_from_a_cold_cache(tmp_path, tiny, nvcc):
    cache = tmp_path / "cache"
    with multiprocessing.get_context("fork").Pool(8) as pool:  # forked: eight times importing torch is another test
        answers = set(pool.starmap(cuda_build.image, [(tiny, "sm_80", nvcc, cache)] * 8, chunksize=1))
    assert len(answers) == 1
    assert next(iter(answers)).startswith(b"\x7fELF")
    assert len(list(cache.iterdir())) == 1
