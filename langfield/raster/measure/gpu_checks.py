"""What it takes a GPU to know about the CUDA rasterizer: agreement, manners with torch, speed; one report."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from langfield.artefacts import write_bytes, write_json
from langfield.errors import LangfieldError
from langfield.progress import say
from langfield.raster import cuda_build, cuda_launch
from langfield.raster.build import is_whole
from langfield.raster.contributions import Gate, scatter_segments, splat_codes, splat_scores, top_contributors
from langfield.raster.measure import gpu_bench
from langfield.raster.measure.agreement import CHANNEL_COUNTS, Draw, agree_all, cases, draw_with
from langfield.raster.measure.bench import random_scene
from langfield.raster.measure.gpu_child import picture
from langfield.raster.screen import rasterize, to_screen

SEEDS, PROCESSES, CHURNS = 50, 8, 40
CHILD_S = 600
"""Longest a process of its own may take."""
Check = Callable[[torch.device], str]
"""Gives what was found, or raises."""


class CheckFailed(Exception):
    """A check found what it looks for."""


def check_gpu(folder: Path) -> dict[str, Any]:
    """Run everything and write report.md and report.json.

    Args:
        folder: where the two files go.

    Raises:
        EnvironmentProblem: there is no GPU, or PyCUDA, the driver or nvcc is missing.
    """
    launch = cuda_launch.launcher(0)
    device = torch.device("cuda", launch.device)
    draws = {"reference": draw_with("reference"), "cpu": draw_with("cpu"), "cuda": draw_with("cuda", str(device))}
    say(f"drawing {SEEDS} scenes with {len(CHANNEL_COUNTS)} channel counts on three backends")
    data: dict[str, Any] = {"machine": machine(device), "agreement": agreement(draws, range(SEEDS))}
    data["checks"] = {name: outcome(check, device) for name, check in CHECKS.items()}
    say("timing")
    data["timings"] = gpu_bench.measure(device)
    data["table"] = page(data)
    write_bytes(folder / "report.md", data["table"].encode())
    write_json(folder / "report.json", data)
    say(f"written: {folder}/report.md and report.json")
    return data


def machine(device: torch.device) -> dict[str, str]:
    """Name the GPU and what drives it."""
    about = torch.cuda.get_device_properties(device)
    compiler = cuda_launch.require_nvcc()
    return {
        "gpu": f"{about.name}, {about.total_memory / 2**30:.0f} GiB, {about.multi_processor_count} multiprocessors",
        "capability": f"sm_{about.major}{about.minor}",
        "driver": str(cuda_launch.require_driver().get_driver_version()),
        "torch": f"{torch.__version__} (CUDA {torch.version.cuda})",
        "nvcc": cuda_build.version(compiler),
        "pycuda": version("pycuda"),
        "system": f"{platform.platform()}, Python {platform.python_version()}",
    }


def agreement(draws: Mapping[str, Draw], seeds: Iterable[int]) -> dict[str, dict[str, Any]]:
    """Compare backends pairwise on seeded scenes, forward and gradients; see `agreement.agree_all`."""
    return agree_all(draws, cases(seeds))


def questions(device: torch.device, n: int = 20_000) -> str:
    """Scatter, top contributors, codes and scores agree with the CPU's, whose kernels are tested without a GPU."""
    scene, camera = random_scene(n, 320, 240)
    answers = []
    for place in (torch.device("cpu"), device):
        screen = to_screen(type(scene)(*(t.to(place) for t in scene.tensors())), camera)
        g = torch.Generator().manual_seed(0)
        index = torch.randint(0, 64, (n, 3, 4), generator=g).to(place)
        weight, table = (torch.rand(*shape, generator=g).to(place) for shape in ((n, 3, 4), (3, 64, 2)))
        segments = torch.randint(-1, 30, (2, 240, 320), generator=g).to(place)
        answers.append(
            {
                "scatter": scatter_segments(screen, segments, Gate(1.0, 0.0)).total,
                "top contributors": top_contributors(screen, 8)[1],
                "codes": splat_codes(screen, index[:, 0], weight[:, 0], 64),
                "scores": splat_scores(screen, index, weight, table),
            }
        )
    off = {k: float((answers[1][k].cpu() - v).norm() / v.norm()) for k, v in answers[0].items()}
    if not all(value < 1e-3 for value in off.values()):
        raise CheckFailed(f"relative distance from the CPU's answers: {off}")
    return "relative distance from the CPU's: " + ", ".join(f"{name} {value:.1e}" for name, value in off.items())


def outcome(check: Check, device: torch.device) -> dict[str, Any]:
    """Run one check; what it raises is its finding."""
    try:
        return {"passed": True, "found": check(device)}
    except (CheckFailed, LangfieldError, RuntimeError, subprocess.TimeoutExpired) as error:
        return {"passed": False, "found": f"{type(error).__name__}: {error}"[:600]}


def first_call_in_backward(device: torch.device) -> str:
    """The process's first CUDA call happens in a backward pass, in a thread of its own."""
    _child("first_in_backward", device)
    return "drawn in the backward of a process that had not used CUDA"


def other_stream(device: torch.device) -> str:
    """On a stream of the caller's, with memory that changes hands all the time, pictures stay the same."""
    wanted, gradients = picture(device)
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for turn in range(CHURNS):
            rubbish = [torch.full((turn % 7 + 1, 1 << 18), float("nan"), device=device) for _ in range(4)]
            del rubbish  # its memory is handed to the next picture while kernels still run
            drawn, found = picture(device)
            if not torch.equal(drawn, wanted):
                raise CheckFailed(f"picture {turn} on another stream differs by {float((drawn - wanted).abs().max())}")
            for one, other in zip(found, gradients, strict=True):
                off = float((one - other).norm() / other.norm())
                if not off < 1e-3:
                    raise CheckFailed(f"gradients of turn {turn} on another stream differ by {off}, relative")
    torch.cuda.current_stream(device).wait_stream(stream)
    return f"{CHURNS} pictures equal bit for bit, gradients within 1e-3"


def two_devices(device: torch.device) -> str:
    """A second GPU draws while the first is current."""
    if torch.cuda.device_count() < 2:
        return "one device only"
    wanted, _ = picture(device)
    with torch.cuda.device(device):
        drawn, _ = picture(torch.device("cuda", (device.index or 0) + 1))
    if torch.cuda.current_device() != (device.index or 0):
        raise CheckFailed("drawing on the second device changed the current one")
    if not torch.allclose(drawn.cpu(), wanted.cpu(), atol=1e-4):
        raise CheckFailed("the second device draws another picture")
    return "the second device draws the same picture"


def cold_cache(device: torch.device) -> str:
    """Eight processes compile into one empty cache at the same time, and all of them load what is there."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "langfield.raster.measure.gpu_child", "load", str(device), folder]
        jobs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]  # noqa: S603
        said = [job.communicate(timeout=CHILD_S)[1] for job in jobs]
        codes = [job.returncode for job in jobs]
        if any(codes):
            raise CheckFailed(f"exit codes {codes}: {' '.join(said)[-300:]}")
        files = sorted(Path(folder).iterdir())
        if len(files) != len(cuda_build.sources()) or not all(is_whole(path) for path in files):
            raise CheckFailed(f"the cache holds {[path.name for path in files]}")
    return f"{PROCESSES} processes, {len(files)} whole files"


def clean_exit(device: torch.device) -> str:
    """A program that drew ends with 0 and nothing on standard error."""
    said = _child("draw", device)
    if said.strip():
        raise CheckFailed(f"exit code 0, but on standard error: {said[-300:]}")
    return "exit code 0, standard error empty"


def after_out_of_memory(device: torch.device) -> str:
    """Where memory runs out inside a drawing, torch's own error comes up and the next drawing is right."""
    wanted, _ = picture(device)
    scene, camera = random_scene(1000, 4096, 4096)
    scene = type(scene)(*(t.to(device) for t in scene.tensors()))
    total = torch.cuda.get_device_properties(device).total_memory
    channels = torch.zeros(1000, total // (4096 * 4096 * 4) + 1, device=device)
    try:
        rasterize(scene, camera, channels)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
    else:
        raise CheckFailed("memory did not run out")
    if not torch.equal(picture(device)[0], wanted):
        raise CheckFailed("the next picture is another one")
    return "torch's OutOfMemoryError, then the same picture as before"


def sanitizer(device: torch.device) -> str:
    """NVIDIA's compute-sanitizer finds nothing in one drawing."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return "compute-sanitizer is not installed; not run"
    for kind in ("memcheck", "racecheck", "synccheck"):
        _child("draw", device, (tool, "--tool", kind, "--error-exitcode", "9"))
    return "memcheck, racecheck and synccheck clean"


CHECKS: dict[str, Check] = {
    "questions to a view": questions,
    "first CUDA call in backward": first_call_in_backward,
    "another stream, memory changing hands": other_stream,
    "two devices": two_devices,
    "cold cache, eight processes": cold_cache,
    "clean exit": clean_exit,
    "after out of memory": after_out_of_memory,
    "compute-sanitizer": sanitizer,
}


def _child(task: str, device: torch.device, before: tuple[str, ...] = ()) -> str:
    """Run a task in a process of its own and give its standard error."""
    command = [*before, sys.executable, "-m", "langfield.raster.measure.gpu_child", task, str(device)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_S, check=False)  # noqa: S603
    if done.returncode:
        raise CheckFailed(f"exit code {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}")
    return done.stderr


def page(data: Mapping[str, Any]) -> str:
    """Give the report as Markdown."""
    lines = ["# The CUDA rasterizer on this machine", ""]
    lines += [f"- {key}: {value}" for key, value in data["machine"].items()]
    lines += ["", "## Agreement", "", "| pair | cases | lowest cosine | highest L2 | flips | complaints |"]
    lines += ["|---|--:|--:|--:|--:|---|"]
    for pair, r in data["agreement"].items():
        numbers = f"{r['cases']} | {r['lowest_cosine']:.6f} | {r['highest_l2']:.1e} | {r['flips_up']}+{r['flips_down']}"
        lines.append(f"| {pair} | {numbers} | {'; '.join(r['complaints']) or 'none'} |")
    lines += ["", "## Manners", "", "| check | passed | found |", "|---|---|---|"]
    for name, check in data["checks"].items():
        lines.append(f"| {name} | {'yes' if check['passed'] else '**no**'} | {check['found']} |")
    timings = data["timings"]
    lines += ["", "## Speed", "", f"1920x1080, medians of {gpu_bench.REPEATS} interleaved runs.", ""]
    lines += ["| target | bound | found | met |", "|---|--:|--:|---|"]
    for t in timings["targets"]:
        lines.append(f"| {t['name']} | {t['bound']} | {t['found']} | {'yes' if t['met'] else '**no**'} |")
    lines += ["", *(f"- {key}: {value}" for key, value in timings.items() if key != "targets"), ""]
    return "\n".join(lines)
