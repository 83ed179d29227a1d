"""One session of online mapping: frames in, a map that can be asked at any moment, an ordinary run in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from langfield.capture.stream import RgbdFrame, at_size
from langfield.capture.types import Camera, Frame
from langfield.errors import FormatError, LangfieldError, StorageError
from langfield.field.types import Field
from langfield.online.asking import ONLINE_ASK, Asker, Glimpse
from langfield.online.folder import STATE, OnlineFolder
from langfield.online.gate import Seen, Verdict, judge, usable
from langfield.online.language import LanguageParts
from langfield.online.path import CameraPath, Step, tum_text
from langfield.online.pose import inverse
from langfield.online.report import Clock, FrameReport, Tally
from langfield.online.resume import Kept, Saved, kept_tensors, load, save
from langfield.online.rgb.depths import Depths
from langfield.online.settings_read import read_settings
from langfield.online.shelf import Shelf
from langfield.online.slam import KeyframeStep, Slam
from langfield.online.teach import Teacher
from langfield.online.tracking import Tracked
from langfield.online.types import Keyframe, OnlineSettings
from langfield.query.answer import Answer, AskSettings
from langfield.query.relevancy import CANONICALS


@dataclass(frozen=True)
class Arrival:
    """A frame on its way into the map."""

    whole: RgbdFrame
    """As it came."""
    frame: RgbdFrame
    """At working size."""
    picture: Path | None
    tracked: Tracked


class Online:
    """Maps what a moving camera sees, and what it is called.

    Frames are added from one thread; questions may come from any, and are answered from the map of the last keyframe.
    While one is answered, mapping waits (`langfield.online.turns`).

    Args:
        folder: of the run; `langfield.online.start` makes one with everything that belongs to it.
        teacher: how language gets in; None for a map without.
        depths: gives depth to pictures alone; None where it comes with them, or is guessed.
    """

    def __init__(self, folder: OnlineFolder, teacher: Teacher | None, depths: Depths | None = None) -> None:
        self.folder, self.teacher, self.depths = folder, teacher, depths
        self.settings: OnlineSettings = folder.about.settings
        self.slam, self.path, self.tally = Slam(self.settings), CameraPath(), Tally()
        self.asker = Asker(folder.about.features.text_encoder)
        self._kept: dict[int, Kept] = {}
        self._placed: dict[int, Keyframe] = {}
        self._encoder: dict[str, Any] = {}
        """Provenance of the image encoder."""
        self._shelf = Shelf(folder.path / STATE)
        self._seen = Seen()
        self._resumed_at = self._last = -1
        self._unsaved, self._shown_at = False, -float("inf")
        self.slam.mapper.between = self._give_way

    @property
    def last(self) -> int:
        """Number of the last frame that it knows; -1 before the first."""
        return self._last

    @property
    def count(self) -> int:
        """Keyframes in the map."""
        return len(self._kept)

    @property
    def gaussians(self) -> int:
        """Gaussians in the map, as they were published last."""
        glimpse = self.asker.glimpse
        return len(glimpse.field.gaussians) if glimpse is not None else 0

    def add_frame(self, frame: RgbdFrame, picture: Path | None = None) -> FrameReport:
        """Take the next frame of the stream.

        A frame that the gate refuses, or on which the camera is lost, leaves the map as it is.

        Args:
            frame: as it came, without lens distortion.
            picture: its file, where its pixels are those of the frame; a keyframe's is kept as it is.

        Raises:
            FormatError: the frame has lens distortion.
            StorageError: the disk is full or read-only. The map is whole in memory, and on disk as it was a keyframe
                earlier; the next call writes it again before it does anything else.
        """
        if frame.camera.distortion is not None:
            raise FormatError("a frame has lens distortion", frame.name, "undistort it, as open_source does")
        if frame.index <= self._resumed_at:
            return self._told(FrameReport(frame.index, frame.name, "skipped"))
        if self._unsaved:
            self._save()
        clock = Clock(self._give_way)
        seen, alone = self._seen, self.settings.pictures_alone
        frame = replace(frame, depth_m=None) if alone else frame
        with clock.at("gate"):
            verdict, self._seen = judge(frame, seen)
        said = [verdict.sentence] if verdict.sentence and not (alone and verdict.reason == "depth") else []
        missing = "" if self._kept or not verdict.good else self._missing(frame, verdict)
        good = verdict.good and not missing
        said += [missing] if missing else []
        report = FrameReport(frame.index, frame.name, "refused", tuple(said), seconds=clock.seconds)
        if not good:
            return self._told(report)
        try:
            return self._told(self._take(usable(frame, verdict), picture, report, clock))
        except StorageError:
            self._seen = self._seen if self._unsaved else seen  # a frame that is not in may come again
            raise

    def _missing(self, frame: RgbdFrame, verdict: Verdict) -> str:
        """Say what a frame lacks to begin a map with; nothing where it lacks nothing."""
        if self.depths is not None and self.depths.points is not None and not frame.has_pose:
            return "a map over points begins with a frame whose pose is given, in the points' own world"
        if self.settings.pictures_alone or verdict.use == "use":
            return ""
        return "a map begins with a frame that has depth, or with the setting rgb-only"

    def _take(self, frame: RgbdFrame, picture: Path | None, report: FrameReport, clock: Clock) -> FrameReport:
        """Track a frame that may come in, and make it a keyframe where one is due."""
        with clock.at("track"):
            small = at_size(frame, self.settings.side_px)
            tracked = self.slam.track(small)
            due = not self._kept or frame.index % self.settings.keyframe_every == 0
            due = due and self.slam.wants_keyframe(tracked, small)
        self._last = frame.index
        if tracked.lost:
            return replace(report, outcome="lost")
        report = replace(report, outcome="tracked", T_world_camera=tracked.T_world_camera)
        arrival = Arrival(frame, small, picture, tracked)
        if not due:
            self._follow(arrival, self._placed[max(self._placed)])
            return report
        arrival = replace(arrival, frame=self._with_depth(arrival, clock))
        new = self._enter(arrival, clock)
        self._publish(new.id, clock)
        with clock.at("save"):
            self._save()
        return replace(report, outcome="keyframe", keyframe=new.id, T_world_camera=new.camera.T_world_camera)

    def _give_way(self) -> None:
        self.asker.turns.give_way()

    def _told(self, report: FrameReport) -> FrameReport:
        report = replace(report, gaussians=self.gaussians, keyframes=self.count)
        self.tally.add(report)
        return report

    def _follow(self, arrival: Arrival, keyframe: Keyframe) -> None:
        """Note where the camera was, as seen from a keyframe."""
        T = inverse(keyframe.camera.T_world_camera.double().cpu()) @ arrival.tracked.T_world_camera.double().cpu()
        picture = str(arrival.picture) if arrival.picture is not None else ""
        frame, exposure = arrival.frame, arrival.tracked.exposure
        self.path.add(Step(frame.index, frame.time_s, keyframe.id, T, frame.name, picture, exposure))

    def _with_depth(self, arrival: Arrival, clock: Clock) -> RgbdFrame:
        """Give a frame that is to be a keyframe depth from points or a model, where it is to come from there."""
        frame = arrival.frame
        if self.depths is None:
            return frame
        with clock.at("depth"):
            camera = replace(frame.camera, T_world_camera=arrival.tracked.T_world_camera)
            return self.depths(frame, camera, self.slam.depth_at(camera))

    def _enter(self, arrival: Arrival, clock: Clock) -> Keyframe:
        """Make a keyframe: map first, then language, whose rows follow those of the map."""
        with clock.at("save"):
            taken = {k.picture for k in self._kept.values()}
            picture = self.folder.picture(arrival.whole, taken, arrival.picture)
        tell = self.teacher.look(arrival.frame, picture, clock) if self.teacher is not None else None
        with clock.at("map"):  # nothing is written from here on until the whole keyframe is in
            step = self.slam.add_keyframe(arrival.frame, arrival.tracked)
        kept = Kept(arrival.frame, picture.name, arrival.whole.camera, kept_tensors(arrival.frame))
        self._kept[step.id] = kept
        before, self._placed = self._placed, {k.id: k for k in self.slam.keyframes}
        new = self._placed[step.id]
        self.path.add(_at_keyframe(new))
        self._unsaved = True
        self._drop(step.dropped, before)
        if tell is not None:
            with clock.at("language"):
                self._speak(step, lambda: tell(new, self.slam.gaussians))
        return new

    def _speak(self, step: KeyframeStep, tell: Callable[[], None]) -> None:
        """Bring the language map in line with what mapping did, and tell it of the new keyframe."""
        if self.teacher is None:
            return
        language = self.teacher.language
        for change in step.changes:
            language.reindex(change)
        for key in set(step.dropped) & set(language.held):
            language.drop(key)
        tell()
        language.freshen(self.slam.gaussians, self.slam.keyframes, self.settings.freshen_s)

    def _drop(self, gone: Sequence[int], before: dict[int, Keyframe]) -> None:
        for key in gone:
            self.path.free(before[key])
            self.folder.forget(self._kept.pop(key).picture)

    def _publish(self, newest: int, clock: Clock) -> None:
        """Let questions and, from time to time, the viewer see the map as it is."""
        with clock.at("language"):
            parts = self._parts()
        with clock.at("publish"):
            field, frames = self._field(parts), self._frames()
            self.asker.publish(Glimpse(field, {f.name: f.camera for f in frames}, newest))
            if time.monotonic() - self._shown_at >= self.settings.snapshot_s:
                self._unsaved = True
                self.folder.show(field, frames)
                self._shown_at = time.monotonic()

    def _parts(self) -> LanguageParts | None:
        language = self.teacher.language if self.teacher is not None else None
        return language.parts(len(self.slam.gaussians)) if language is not None and language.held else None

    def _field(self, parts: LanguageParts | None) -> Field:
        if self.teacher is not None:
            self._encoder = self.teacher.encoder or self._encoder
        inputs = {"depth": self.depths.about} if self.depths is not None else None
        told, gaussians = self.folder.provenance(self._encoder, inputs), self.slam.gaussians.detach()
        if parts is None:
            return Field(gaussians, None, None, told)
        things = parts.instances if parts.instances is None else replace(parts.instances, ids=parts.instance_ids)
        return Field(gaussians, parts.codes, parts.codec, told, parts.reliability, things, language=parts.shape)

    def _frames(self) -> list[Frame]:
        """Give the keyframes' pictures with their present cameras, by age."""
        home = self.folder.path / "frames"
        return [
            Frame(kept.picture, home / kept.picture, replace(kept.camera, T_world_camera=_pose(self._placed[key])))
            for key, kept in sorted(self._kept.items())
        ]

    def ask(
        self, text: str | Sequence[str], negatives: Sequence[str] = CANONICALS, settings: AskSettings = ONLINE_ASK
    ) -> Answer:
        """Find a thing in the map of the last keyframe; several texts: any of them will do. From any thread.

        Raises:
            QueryError: there is no map with language yet, or the question cannot be asked.
        """
        return self.asker.ask(text, negatives, settings)

    def _save(self) -> None:
        language = self.teacher.language.state() if self.teacher is not None else None
        told = {"last": self._last, "seen": self._seen, "encoder": self._encoder, "tally": vars(self.tally)}
        save(self._shelf, Saved(self._kept, self.path, self.slam.state(), language, told))
        self._unsaved = False

    def resume(self) -> int:
        """Go on from the last keyframe on disk; gives the number of the stream's last frame it knows.

        Raises:
            FormatError: there is no state, or it is damaged or of other settings.
        """
        saved = load(self._shelf)
        self._kept, self.path = saved.kept, saved.path
        self.slam.load_state(*saved.slam, {key: kept.frame for key, kept in saved.kept.items()})
        self._placed = {k.id: k for k in self.slam.keyframes}
        if self.teacher is not None and saved.language is not None:
            self.teacher.language.load_state(*saved.language)
        self._seen = Seen()
        self._resumed_at = self._last = int(saved.told["last"])
        self._seen = read_settings(Seen, saved.told["seen"], self._shelf.folder)
        self._encoder, self.tally = dict(saved.told["encoder"]), Tally(**saved.told["tally"])
        self._publish(max(self._kept), Clock())
        return self._last

    def finish(self) -> Path:
        """Renew all that is stale, and write the run: from then on `langfield.load` and every command open it.

        Raises:
            LangfieldError: there is no keyframe.
            StorageError: the disk is full or read-only; the call can be made again.
        """
        if not self._kept:
            raise LangfieldError("no frame came into the map", self.folder.path, "see what the gate said of the frames")
        parts = None
        if self.teacher is not None and self.teacher.language.held:
            parts = self.teacher.language.finish(self.slam.gaussians, self.slam.keyframes)
        field, frames = self._field(parts), self._frames()
        poses = self.path.poses(self.slam.keyframes)
        told = {
            "seconds": self.tally.seconds,
            "path": tum_text([s.time_s for s in self.path.steps], poses),
            "frames": self.tally.outcomes,
        }
        self.folder.finish(field, frames, self._others(poses), told)
        return self.folder.path

    def _others(self, poses: Sequence[Any]) -> list[Frame]:
        """Give the tracked frames besides the keyframes whose files are there, with their cameras."""
        own = {kept.frame.index for kept in self._kept.values()}
        taken = {kept.picture for kept in self._kept.values()}
        camera: Camera = next(iter(self._kept.values())).camera
        found = [
            Frame(Path(step.picture).name, Path(step.picture), replace(camera, T_world_camera=pose, time_s=step.time_s))
            for step, pose in zip(self.path.steps, poses, strict=True)
            if step.picture and step.index not in own
        ]
        return [frame for frame in found if frame.name not in taken]


def _pose(keyframe: Keyframe) -> Any:
    return keyframe.camera.T_world_camera.double().cpu()


def _at_keyframe(keyframe: Keyframe) -> Step:
    """Give the step of a keyframe's own frame, which goes where the keyframe goes."""
    frame = keyframe.frame
    return Step(frame.index, frame.time_s, keyframe.id, torch.eye(4, dtype=torch.float64), frame.name)
