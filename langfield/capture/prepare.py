"""Photos or a video to a posed capture, with pycolmap; what could not be registered is said."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from langfield import artefacts
from langfield.capture import colmap, sfm, video
from langfield.capture.photos import camera_groups, import_photos, list_photos, target_names
from langfield.capture.write import write_ply_points, write_transforms
from langfield.errors import EnvironmentProblem, FormatError, SettingsError, StorageError
from langfield.progress import say, track

MIN_REGISTERED = 3
CAMERA_MODELS = ("SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "SIMPLE_PINHOLE", "PINHOLE")
ADVICE = "take more pictures that overlap by two thirds, of something with texture, walking rather than turning"


@dataclass(frozen=True)
class PrepareSettings:
    """How pictures become a capture."""

    n_frames: int = 60
    """Frames taken from a video."""
    max_side_px: int = 1600
    """Features are found at this size at most; the pictures stay as they are."""
    max_features: int = 8192
    """Features per picture at most."""
    matching: str = "auto"
    """"exhaustive", "sequential" (pictures in order of their names), or "auto": exhaustive up to 60 photos."""
    exhaustive_up_to: int = 60
    """Pictures up to which "auto" compares all pairs."""
    overlap: int = 10
    """Neighbours each picture is compared with when matching is sequential."""
    camera_model: str = "SIMPLE_RADIAL"
    """COLMAP's name of the lens model to be fitted."""
    seed: int = 0


@dataclass(frozen=True)
class PrepareReport:
    """What came of it; written as prepare.json."""

    registered: tuple[str, ...]
    unregistered: tuple[str, ...]
    """Pictures no pose was found for, and those only in smaller models."""
    unreadable: dict[str, str]
    """Pictures that could not be decoded, and why."""
    model_sizes: tuple[int, ...]
    """Pictures in each disconnected model, the one used first."""
    reprojection_error_px: float
    n_points: int
    seconds: float


def prepare(source: Path, out: Path, settings: PrepareSettings | None = None) -> PrepareReport:
    """Make a posed capture of photos or a video: `images`, `sparse/0`, `transforms.json`, `points3D.ply`.

    Work goes on in a hidden folder beside `out`, which becomes `out` at the end; interrupted, the same
    command continues. A finished `out` of the same source and settings is left as it is.

    Args:
        source: a folder of photos, or a video file.
        out: a folder that does not exist yet, or is empty.
        settings: see `PrepareSettings`.

    Raises:
        FormatError: too few pictures, or too few of them could be registered.
        SettingsError: `out` holds something else.
        StorageError: writing failed.
        EnvironmentProblem: pycolmap stopped without a result.
    """
    settings, start = settings or PrepareSettings(), time.monotonic()
    _check(source, settings)
    key = artefacts.content_key("prepare", 1, _inputs(source), settings)
    finished = _finished(out, key)
    if finished is not None:
        say(f"{out} is already prepared from this source")
        return finished
    work = _work_folder(out, key)
    names, unreadable = _pictures(source, work / "images", settings)
    if len(names) < MIN_REGISTERED:
        raise FormatError(f"{len(names)} readable pictures; at least {MIN_REGISTERED} are needed", source, ADVICE)
    models = _reconstruct(work, names, is_video(source), settings)
    if not models or models[0]["pictures"] < MIN_REGISTERED:
        raise FormatError(f"the poses of these {len(names)} pictures could not be found", source, ADVICE)
    report = _assemble(work, names, unreadable, models, start)
    artefacts.write_json(work / "prepare.json", {"key": key, **asdict(report)})
    _publish(work, out)
    _tell(report, out)
    return report


def is_video(source: Path) -> bool:
    """Say whether `source` is to be read as a video."""
    return source.is_file() and source.suffix.lower() in video.SUFFIXES


def _check(source: Path, settings: PrepareSettings) -> None:
    """Refuse what cannot work before anything is written."""
    if not source.exists():
        raise FormatError("photos or video not found", source)
    if source.is_file() and not is_video(source):
        raise FormatError(
            "neither a folder of photos nor a video", source, f"videos end in {', '.join(video.SUFFIXES)}"
        )
    if settings.matching not in ("auto", "exhaustive", "sequential"):
        raise SettingsError(f"unknown matching '{settings.matching}'", None, "use auto, exhaustive or sequential")
    if settings.camera_model not in CAMERA_MODELS:
        raise SettingsError(f"unknown camera model '{settings.camera_model}'", None, f"use {', '.join(CAMERA_MODELS)}")
    if settings.n_frames < MIN_REGISTERED:
        raise SettingsError(f"n_frames is {settings.n_frames}", None, f"use at least {MIN_REGISTERED}")


def _inputs(source: Path) -> list[list[Any]]:
    """Give names, sizes and times of the files that would be read."""
    files = [source] if source.is_file() else list_photos(source)
    return [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]


def _finished(out: Path, key: str) -> PrepareReport | None:
    """Give the report of a finished `out`; refuse one that holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if (out / "prepare.json").is_file():
        data = artefacts.read_json(out / "prepare.json")
        if isinstance(data, dict) and data.get("key") == key:
            return _report_from(data, out / "prepare.json")
    raise SettingsError("the output folder holds something else", out, "choose a new folder, or remove this one")


def _report_from(data: dict[str, Any], file: Path) -> PrepareReport:
    """Give the report in a prepare.json."""
    try:
        return PrepareReport(
            tuple(data["registered"]), tuple(data["unregistered"]), dict(data["unreadable"]),
            tuple(data["model_sizes"]), float(data["reprojection_error_px"]), int(data["n_points"]),
            float(data["seconds"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("prepare.json is damaged", file, "remove the folder and run again") from error


def _work_folder(out: Path, key: str) -> Path:
    """Give the folder that will become `out`, with what an interrupted run of the same key left in it."""
    work = out.resolve().with_name(f".{out.resolve().name}.preparing")
    begun = work / "begun.json"
    try:
        if work.exists() and (not begun.is_file() or artefacts.read_json(begun) != {"key": key}):
            shutil.rmtree(work)
        (work / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write here: {error.strerror}", work, "choose another folder") from error
    artefacts.write_json(begun, {"key": key})
    return work


def _pictures(source: Path, images: Path, settings: PrepareSettings) -> tuple[list[str], dict[str, str]]:
    """Fill `images`; give its names, and the pictures that cannot be read."""
    if is_video(source):
        return video.extract_frames(source, images, settings.n_frames), {}
    photos = list_photos(source)
    unreadable = import_photos(photos, images)
    return [n for p, n in zip(photos, target_names(photos), strict=True) if p.name not in unreadable], unreadable


def _reconstruct(work: Path, names: list[str], ordered: bool, settings: PrepareSettings) -> list[dict[str, Any]]:
    """Run structure from motion in a child process; give its models, largest first."""
    for leftover in ("raw", "models", "sparse"):
        shutil.rmtree(work / leftover, ignore_errors=True)
    sequential = settings.matching == "sequential" or (
        settings.matching == "auto" and (len(names) > settings.exhaustive_up_to)
    )
    job = {
        "work": str(work), "groups": [names] if ordered else camera_groups(work / "images", names),
        "max_side_px": settings.max_side_px, "max_features": settings.max_features, "seed": settings.seed,
        "camera_model": settings.camera_model, "exhaustive": not sequential, "overlap": settings.overlap,
        "min_pictures": MIN_REGISTERED,
    }  # fmt: skip
    log = work / "colmap.log"
    artefacts.write_bytes(log, b"")
    with log.open("ab") as errors:
        command = [sys.executable, "-P", str(Path(sfm.__file__).resolve())]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)  # noqa: S603
        try:
            status = _follow(child, job)
        finally:
            child.kill()
            child.wait()
    if status != 0:
        raise EnvironmentProblem(f"structure from motion stopped with status {status}", log, "see the end of that file")
    return artefacts.read_json(work / "models.json")


def _follow(child: subprocess.Popen[str], job: dict[str, Any]) -> int:
    """Send the job, show the child's stages until it ends, and give its exit status."""
    if child.stdin is None or child.stdout is None:
        return -1
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(json.dumps(job))
        child.stdin.close()
    for line in child.stdout:
        match line.split():
            case ["stage", name, total]:
                for _ in track(_ticks(child.stdout), name, int(total)):
                    pass
    return child.wait()


def _ticks(lines: IO[str]) -> Iterator[None]:
    """Yield once for each unit of the running stage."""
    for line in lines:
        match line.strip():
            case "tick":
                yield
            case "end":
                return


def _assemble(work: Path, names: list[str], unreadable: dict[str, str], models: list, start: float) -> PrepareReport:
    """Put the largest model in place and describe it in nerfstudio's and our own words."""
    sparse = work / "sparse" / "0"
    sparse.parent.mkdir()
    (work / "models" / "0").rename(sparse)
    capture = colmap.read(sparse)
    write_ply_points(work / "points3D.ply", capture.points)
    write_transforms(work / "transforms.json", capture, "points3D.ply")
    registered = tuple(f.name for f in capture.frames)
    return PrepareReport(
        registered, tuple(sorted(set(names) - set(registered))), unreadable,
        tuple(m["pictures"] for m in models), models[0]["error_px"], len(capture.points.xyz),
        time.monotonic() - start,
    )  # fmt: skip


def _publish(work: Path, out: Path) -> None:
    """Remove what only served the work, and let the folder take its final name."""
    try:
        for name in ("raw", "models"):
            shutil.rmtree(work / name, ignore_errors=True)
        for pattern in ("database.db*", "features.done", "models.json", "colmap.log", "begun.json"):
            for file in work.glob(pattern):
                file.unlink()
        work.rename(out)
    except OSError as error:
        raise StorageError(f"could not put the capture in place: {error.strerror}", out) from error


def _tell(report: PrepareReport, out: Path) -> None:
    """Say in a few lines what came of it."""
    total = len(report.registered) + len(report.unregistered)
    say(
        f"{len(report.registered)} of {total} pictures registered, {report.n_points} points, "
        f"{report.reprojection_error_px:.2f} px reprojection error, {report.seconds:.0f} s: {out}"
    )
    if report.unregistered:
        say(f"no pose found for: {', '.join(report.unregistered)}")
    if report.unreadable:
        say("not readable: " + ", ".join(f"{name} ({why})" for name, why in report.unreadable.items()))
    if len(report.model_sizes) > 1:
        sizes = ", ".join(str(n) for n in report.model_sizes)
        parts = len(report.model_sizes)
        say(f"the pictures fall into {parts} unconnected parts ({sizes} pictures); the largest is used")
