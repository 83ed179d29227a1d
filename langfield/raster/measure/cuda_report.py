"""What each CUDA kernel takes of a GPU, known without one: the compiler's own report, and the occupancy it allows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from langfield.raster import cuda_build

BEGIN = "<!-- resources: begin (written by .ci/kernel_table.py) -->"
END = "<!-- resources: end -->"
REGISTERS, WARP = 65536, 32
"""Registers of a multiprocessor, threads of a warp: the same on all GPUs below."""
REGISTER_UNIT, WARP_UNIT = 256, 4
"""Registers are given to warps in this many, warps counted in this many."""


@dataclass(frozen=True)
class Limits:
    """A multiprocessor as CUDA's programming guide lists it ("Technical specifications per compute capability")."""

    warps: int
    blocks: int
    shared_bytes: int
    reserved_bytes: int
    """Of shared memory, taken by the system for each block."""
    shared_unit: int = 128


GPUS = {
    "sm_75": Limits(warps=32, blocks=16, shared_bytes=64 * 1024, reserved_bytes=0, shared_unit=256),
    "sm_80": Limits(warps=64, blocks=32, shared_bytes=164 * 1024, reserved_bytes=1024),
    "sm_86": Limits(warps=48, blocks=16, shared_bytes=100 * 1024, reserved_bytes=1024),
    "sm_89": Limits(warps=48, blocks=24, shared_bytes=100 * 1024, reserved_bytes=1024),
    "sm_90": Limits(warps=64, blocks=32, shared_bytes=228 * 1024, reserved_bytes=1024),
}
"""T4 and RTX 20, A100, RTX 30, RTX 40 and L4, H100."""


@dataclass(frozen=True)
class Resources:
    """One kernel on one kind of GPU."""

    file: str
    kernel: str
    arch: str
    threads: int
    """Of a block, from __launch_bounds__; 0 where the kernel has none."""
    registers: int
    """Of a thread."""
    spill_bytes: int
    """Written to and read from memory because registers ran out."""
    stack_bytes: int
    shared_bytes: int
    """Of a block."""

    @property
    def occupancy(self) -> float:
        """Warps that fit a multiprocessor at once, as a share of those it can hold."""
        return occupancy(self, GPUS[self.arch])[0]

    @property
    def limited_by(self) -> str:
        """What runs out first."""
        return occupancy(self, GPUS[self.arch])[1]


def occupancy(kernel: Resources, gpu: Limits) -> tuple[float, str]:
    """Give occupancy and what limits it, by the calculation of CUDA's occupancy calculator.

    Args:
        kernel: threads 0 counts as 256.
        gpu: the multiprocessor.
    """
    warps = -(-(kernel.threads or 256) // WARP)
    a_warp = -(-max(kernel.registers, 1) * WARP // REGISTER_UNIT) * REGISTER_UNIT
    of_registers = REGISTERS // a_warp // WARP_UNIT * WARP_UNIT // warps
    shared = -(-(kernel.shared_bytes + gpu.reserved_bytes) // gpu.shared_unit) * gpu.shared_unit
    blocks = {"registers": of_registers, "warps": gpu.warps // warps, "blocks": gpu.blocks}
    if shared:
        blocks["shared memory"] = gpu.shared_bytes // shared
    least = min(blocks.values())
    full = gpu.warps // warps * warps == least * warps
    return least * warps / gpu.warps, "warps" if full else next(name for name, n in blocks.items() if n == least)


def report(files: Sequence[Path], compiler: str, archs: Sequence[str] = tuple(GPUS)) -> list[Resources]:
    """Compile CUDA files for several GPUs, warnings being errors, and give what their kernels take.

    Raises:
        EnvironmentProblem: a file does not compile without a warning; the compiler's words are in the message.
    """
    with ThreadPoolExecutor() as pool:
        return [r for found in pool.map(lambda f: _report_one(f, compiler, archs), files) for r in found]


def _report_one(source: Path, compiler: str, archs: Sequence[str]) -> list[Resources]:
    with tempfile.TemporaryDirectory() as folder:
        flags = [*cuda_build.FLAGS, "-Xptxas", "-v", "--keep", "--keep-dir", folder, "-fatbin"]
        flags += [*cuda_build.targets(compiler, archs), "-o", f"{folder}/all.fatbin"]
        _, said = cuda_build.run_nvcc(compiler, *flags, str(source))
        ptx = "\n".join(path.read_text() for path in sorted(Path(folder).glob("*.ptx")))
    threads = {name: _product(n) for name, n in re.findall(r"\.entry (\w+)\([^)]*\)\s*\.maxntid ([\d, ]+)", ptx)}
    return [Resources(source.name, name, arch, threads.get(name, 0), *n) for name, arch, n in _entries(said)]


def _product(numbers: str) -> int:
    x, y, z = ([int(n) for n in numbers.split(",")] + [1, 1])[:3]
    return x * y * z


def _entries(said: str) -> list[tuple[str, str, tuple[int, int, int, int]]]:
    """Give name, GPU, registers, spilled, stack and shared bytes of each kernel in what `ptxas -v` wrote."""
    found = []
    for part in said.split("Compiling entry function ")[1:]:
        head = re.match(r"'(\w+)' for '(sm_\d+)'", part)
        own = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        if head and own and registers:
            spilled, kept = int(own[2]) + int(own[3]), int(shared[1]) if shared else 0
            found.append((head[1], head[2], (int(registers[1]), spilled, int(own[1]), kept)))
    return found


def table(found: Sequence[Resources], compiler: str) -> str:
    """Give the report as a Markdown table: registers, spilled bytes where there are any, and occupancy."""
    archs = sorted({r.arch for r in found})
    rows: dict[tuple[str, str], dict[str, Resources]] = {}
    for r in found:
        rows.setdefault((r.file, r.kernel), {})[r.arch] = r
    lines = [
        f"Registers of a thread and occupancy, by nvcc {cuda_build.version(compiler)}; R, S, B: registers, shared",
        "memory or the number of blocks is what runs out first; spilled bytes in bold.",
        "",
        f"| kernel | file | threads | shared B | {' | '.join(archs)} |",
        "|---|---|--:|--:|" + "--:|" * len(archs),
    ]
    for (file, kernel), by_arch in sorted(rows.items()):
        first = next(iter(by_arch.values()))
        cells = " | ".join(_cell(by_arch[arch]) for arch in archs)
        lines.append(f"| `{kernel}` | `{file}` | {first.threads or '?'} | {first.shared_bytes} | {cells} |")
    return "\n".join(lines)


def _cell(r: Resources) -> str:
    spilled = f" **{r.spill_bytes} B**" if r.spill_bytes else ""
    limit = {"registers": " R", "shared memory": " S", "blocks": " B", "warps": ""}[r.limited_by]
    return f"{r.registers}{spilled}, {100 * r.occupancy:.0f} %{limit}"


def into_page(page: str, written: str) -> str:
    """Give a Markdown page with the table put between its markers, which are added at its end where it has none."""
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{written}\n{END}{rest.split(END, 1)[1]}"


def page_table(page: str) -> str:
    """Give the table that stands between the markers of a page; empty where there is none."""
    return page.split(BEGIN)[1].split(END, maxsplit=1)[0].strip("\n") if BEGIN in page else ""
