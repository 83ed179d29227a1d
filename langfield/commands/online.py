"""`langfield online`: a language map that grows while the camera moves."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from langfield.artefacts import read_json, write_json
from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError
from langfield.online.types import OnlineSettings
from langfield.progress import how_to_ask, say

if TYPE_CHECKING:
    from langfield.capture.stream import FrameSource
    from langfield.online.report import FrameReport
    from langfield.online.session import Online

SHOWN = ("keyframe", "tracked", "skipped")
"""Outcomes that need no line of their own."""
ASKED = "asked.json"
"""Beside the manifest: what a resume takes where it is not said again."""


@dataclass(frozen=True)
class Asked:
    """What was asked for of the stream."""

    max_frames: int | None = None
    every: int = 1
    camera: str = "auto"
    quick: bool = True


@dataclass(frozen=True)
class OnlineOptions:
    """How a stream is mapped."""

    settings: Annotated[OnlineSettings, tyro.conf.arg(name="")] = field(default_factory=OnlineSettings)
    out: Path = Path("outputs")
    """Folder of runs; the run is made in OUT/SOURCE/online/TIME."""
    max_frames: int | None = None
    """Stop after so many frames of the stream."""
    every: int = 1
    """Take every n-th frame of a folder."""
    camera: str = "auto"
    """Published intrinsics of a TUM sequence: fr1, fr2, fr3; auto takes those beside it, or its name's."""
    quick: bool = True
    """Find segments with fewer prompts at a lower resolution and embed them in low precision; --no-quick makes the
    features of an offline run, and takes those it has made."""
    listen: int | None = None
    """Take frames from a sender on this machine at this port instead (0: any free one); what to give it is shown once
    (`langfield.online.socket.send_frames`)."""
    resume: Path | None = None
    """Go on with this run from its last keyframe; its settings count, and what was asked of the stream where nothing
    else is said."""
    json: bool = False
    """Print the report as JSON."""


def online(
    source: Annotated[Path | None, tyro.conf.Positional] = None,
    options: Annotated[OnlineOptions, tyro.conf.arg(name="")] = OnlineOptions(),
) -> None:
    """Map an RGB-D stream while it comes in, with language; `langfield view RUN` beside it follows.

    The finished run is an ordinary one: query, eval, view and export open it.

    Args:
        source: a folder in TUM's or Replica's layout, or a posed capture. Frames need depth, or --rgb-only: depth then
            comes from the capture's points, --points or --depth-model.
        options: how it is mapped.
    """
    from langfield.online.run import run_stream

    options = as_before(options)
    session, stream = _begin(source, options)
    try:
        write_json(session.folder.path / ASKED, {name: getattr(options, name) for name in _ASKED})
        for note in getattr(stream, "notes", ()):
            say(note)
        say(f"the run is {session.folder.path}; look at it meanwhile with: langfield view {session.folder.path}")
        seconds = run_stream(session, stream, options.max_frames, _tell)
        report = _report(session, stream, seconds)
        path = session.finish()
    finally:
        session.folder.release()
        getattr(stream, "close", lambda: None)()
    write_json(path / "report.json", report)
    if options.json:
        print_json({"run": path, **report})
    else:
        print_text(as_text(report))
        print_text(how_to_ask(path))


_ASKED = tuple(one.name for one in fields(Asked))


def as_before(options: OnlineOptions) -> OnlineOptions:
    """Take what the run to go on with was asked for, where nothing else is said.

    Raises:
        FormatError: what was asked for is not readable.
    """
    from langfield.online.settings_read import read_settings

    file = options.resume and options.resume / ASKED
    if file is None or not file.is_file():  # a new run, or one of Python's
        return options
    before, usual = read_settings(Asked, read_json(file), file), OnlineOptions()
    unsaid = [name for name in _ASKED if getattr(options, name) == getattr(usual, name)]
    return replace(options, **{name: getattr(before, name) for name in unsaid})


def _begin(source: Path | None, options: OnlineOptions) -> tuple[Online, FrameSource]:
    from langfield.online.features import StageFeatures
    from langfield.online.start import folder_in, resume, start
    from langfield.settings import RunSettings

    if source is not None and options.listen is not None:
        raise SettingsError("frames come from one place", None, "give a folder or --listen PORT")
    if source is None and options.resume is None and options.listen is None:
        raise SettingsError("no frames were given", None, "give a folder, --listen PORT, or --resume RUN")
    features = None if options.quick else StageFeatures(RunSettings(device=options.settings.device))
    if options.resume is not None:
        session = resume(options.resume, features)
        return session, _stream(source or session.folder.about.data, options)
    stream = _stream(source, options)
    name = source.resolve().name if source is not None else "socket"
    folder, settings = folder_in(options.out, name), _with_points(options.settings, source)
    return start(folder, settings, features, stream.name, source and source.resolve()), stream


def _with_points(settings: OnlineSettings, source: Path | None) -> OnlineSettings:
    """Take the points of a capture that lies beside a stream of pictures alone, and say where depth comes from."""
    from langfield.online.rgb.beside import points_beside

    if not settings.pictures_alone:
        return settings
    if settings.points is None and source is not None:
        settings = replace(settings, points=points_beside(source))
    if settings.points is not None:
        settings = replace(settings, points=settings.points.resolve())
        say(f"depth comes from the points of {settings.points}")
    elif settings.depth_model is None:
        say(
            "no points lie beside these pictures and no --depth-model is given: distances are guessed, the map's scale"
            " is a guess and its shape will be poor"
        )
    return settings


def _stream(source: Path | None, options: OnlineOptions) -> FrameSource:
    from langfield.capture.stream import SourceSettings, open_source

    if options.listen is not None:
        from langfield.online.socket import SocketSettings, SocketSource

        opened = SocketSource(settings=SocketSettings(port=options.listen))
        say(f"waiting for frames at {opened.address}, token {opened.token}")
        return opened
    if source is None:  # cannot be: checked by _begin
        raise SettingsError("no stream was given")
    return open_source(source, SourceSettings(options.camera, every=options.every))


def _tell(told: FrameReport | str) -> None:
    """Say what a person should know of a frame."""
    if isinstance(told, str):
        say(told)
        return
    for message in told.messages:
        say(f"frame {told.index}: {message}")
    if told.outcome not in SHOWN and not told.messages:
        say(f"frame {told.index}: {told.outcome}")


def _report(session: Online, stream: FrameSource, seconds: float) -> dict[str, Any]:
    from langfield.capture.stream import Recorded
    from langfield.online.judge import judge

    tally = session.tally
    return {
        "frames": tally.frames,
        "frames_per_s": round(tally.frames / max(seconds, 1e-9), 3),
        "outcomes": tally.outcomes,
        "keyframes": session.count,
        "gaussians": session.gaussians,
        "stages": tally.table(),
        "truth": judge(session, stream) if isinstance(stream, Recorded) and session.count else None,
    }


def as_text(report: dict[str, Any]) -> str:
    """Give a report as lines for people."""
    said = ", ".join(f"{n} {outcome}" for outcome, n in report["outcomes"].items())
    lines = [
        f"{report['frames']} frames at {report['frames_per_s']:.2f} a second: {said}",
        f"{report['keyframes']} keyframes, {report['gaussians']} Gaussians",
    ]
    lines += [
        f"  {stage:<9} {row['seconds']:7.2f} s {row['times']:5d} times {row['ms_each']:7.1f} ms each {row['share']:.0%}"
        for stage, row in report["stages"].items()
    ]
    truth = report["truth"] or {}
    if truth.get("path"):
        path = truth["path"]
        lines.append(
            f"path: ATE {100 * path['ate_rmse']:.2f} cm, drift {path['drift']:.2%} of {path['length']:.2f} m"
            f" and {path['turn_deg']:.2f} degrees, over {path['frames']} frames"
        )
    for name, drawn in ((name, truth.get(name)) for name in ("keyframes", "frames")):
        if drawn and drawn["psnr_db"] is not None:
            depth = "" if drawn["depth_l1"] is None else f", depth L1 {100 * drawn['depth_l1']:.2f} cm"
            lines.append(f"{name if name == 'keyframes' else 'others'}: PSNR {drawn['psnr_db']:.2f} dB{depth}")
    return "\n".join(lines)
