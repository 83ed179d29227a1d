"""`langfield doctor`: what is missing on this machine, and the one command that repairs it."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Literal

from langfield.artefacts import plain
from langfield.commands.output import print_json, print_text

State = Literal["ok", "missing", "optional"]
MINIMUM_VISER = (1, 0, 25)
"""Older ones serve any file of the disk over HTTP."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    name: str
    state: State
    """"optional" where it is missing but nothing on this machine needs it."""
    detail: str
    remedy: str = ""


def doctor(json: bool = False) -> int:
    """Say what this machine has, what it lacks, and how to repair that.

    Args:
        json: print the findings as JSON.
    """
    findings = [check() for check in CHECKS]
    if json:
        print_json([plain(f) for f in findings])
    else:
        for f in findings:
            mark = {"ok": "ok      ", "missing": "MISSING ", "optional": "-       "}[f.state]
            print_text(f"{mark} {f.name:<22} {f.detail}" + (f"\n{'':32}→ {f.remedy}" if f.remedy else ""))
    return 1 if any(f.state == "missing" for f in findings) else 0


def _python() -> Finding:
    here = platform.python_version()
    if sys.version_info[:2] == (3, 11):
        return Finding("python", "ok", here)
    return Finding("python", "missing", f"{here}, tested with 3.11 only", "uv sync --python 3.11")


def _torch() -> Finding:
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        remedy = "uv sync   (or: pip install torch==2.14.1 torchvision==0.29.1)"
        return Finding("torch + torchvision", "missing", f"do not import together: {error}", remedy)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Finding("torch + torchvision", "ok", f"{torch.__version__} + {torchvision.__version__}, {device}")


def _nerfstudio() -> Finding:
    remedy = "uv sync   (or: pip install -e '.[nerfstudio]' && pip install --no-deps nerfstudio==1.1.5)"
    try:
        found = version("nerfstudio")
    except PackageNotFoundError:
        return Finding("ns-train", "missing", "nerfstudio is not installed", remedy)
    names = [e.name for e in entry_points(group="nerfstudio.method_configs")]
    if "langsplat" not in names:
        return Finding("ns-train", "missing", "nerfstudio does not know the method langsplat", remedy)
    lacking = [m for m in ("tyro", "viser", "splines", "nerfacc", "pathos") if importlib.util.find_spec(m) is None]
    if lacking:
        return Finding("ns-train", "missing", f"nerfstudio {found} lacks {', '.join(lacking)}", remedy)
    return Finding("ns-train", "ok", f"nerfstudio {found} with the method langsplat")


def _viser() -> Finding:
    try:
        found = version("viser")
    except PackageNotFoundError:
        return Finding("viser", "missing", "not installed", "uv sync   (or: pip install 'viser>=1.1')")
    numbers = tuple(int(n) for n in found.split(".")[:3] if n.isdigit())
    if numbers < MINIMUM_VISER:
        detail = f"{found} lets anybody who reaches it read every file of this machine"
        return Finding("viser", "missing", detail, "pip install 'viser>=1.1'")
    return Finding("viser", "ok", found)


def _compiler() -> Finding:
    from langfield.raster.build import compiler

    found = compiler()
    if found is None:
        detail = "no C++ compiler: the rasterizer runs as plain torch, many times slower"
        return Finding("C++ compiler", "missing", detail, "apt-get install g++")
    return Finding("C++ compiler", "ok", str(found))


def _cuda() -> Finding:
    import torch

    from langfield.errors import EnvironmentProblem
    from langfield.raster import cuda_build, cuda_launch

    compiler = cuda_build.nvcc()
    if not torch.cuda.is_available():
        beside = f"; nvcc {cuda_build.version(compiler)} is here" if compiler else ""
        return Finding("CUDA", "optional", f"no GPU seen by torch; everything runs on the CPU{beside}")
    try:
        cuda_launch.require_driver()
        arch = cuda_build.architecture(torch.cuda.get_device_capability(), cuda_launch.require_nvcc())
    except EnvironmentProblem as problem:
        return Finding("CUDA", "missing", problem.what, problem.remedy or "")
    return Finding("CUDA", "ok", f"{torch.cuda.get_device_name()}, {arch}, nvcc {cuda_build.version(str(compiler))}")


def _ffmpeg() -> Finding:
    if shutil.which("ffmpeg"):
        return Finding("ffmpeg", "ok", "on PATH")
    return Finding(
        "ffmpeg", "optional", "not on PATH; only ns-render's video commands need it", "apt-get install ffmpeg"
    )


def _weights() -> Finding:
    from langfield.weights import status

    rows = status()
    lacking = [r.name for r in rows if r.state != "here"]
    if lacking:
        return Finding("weights", "missing", f"not here or damaged: {', '.join(lacking)}", "langfield weights get all")
    return Finding("weights", "ok", ", ".join(r.name for r in rows))


CHECKS: tuple[Callable[[], Finding], ...] = (
    _python, _torch, _nerfstudio, _viser, _compiler, _cuda, _ffmpeg, _weights,
)  # fmt: skip
