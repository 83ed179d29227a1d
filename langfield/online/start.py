"""The beginning of a session of online mapping, and its going on after whatever ended it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json
from langfield.errors import FormatError
from langfield.online.features import FeatureMaker, StageFeatures, quick_settings
from langfield.online.folder import METHOD, STATE, About, OnlineFolder
from langfield.online.language_lift import LiftedLanguage
from langfield.online.rgb.depths import depths_for
from langfield.online.session import Online
from langfield.online.settings_read import read_settings
from langfield.online.shelf import STATE as STATE_FILE
from langfield.online.teach import SegmentTeacher, Teacher
from langfield.online.types import OnlineSettings
from langfield.run import MANIFEST, MAX_MANIFEST_BYTES
from langfield.settings import RunSettings

DEFAULT = OnlineSettings()


def start(
    folder: Path,
    settings: OnlineSettings = DEFAULT,
    features: FeatureMaker | None = None,
    source: str = "frames",
    data: Path | None = None,
) -> Online:
    """Begin to map.

    Args:
        folder: of the run, which is made; `folder_in` names one among others.
        settings: see `OnlineSettings`.
        features: what finds and embeds segments; None for the stages' own, in their quick form.
        source: name of the stream.
        data: where it comes from; the run's folder where None.

    Raises:
        FormatError: the folder holds a run already, or points or a depth model are damaged.
        EnvironmentProblem: weights are missing.
        SettingsError: a setting lies outside its range.
        StorageError: the folder cannot be written.
    """
    settings.check()
    if (folder / MANIFEST).exists():
        raise FormatError("there is a run in this folder already", folder, "resume it, or choose another folder")
    quick = quick_settings()
    teacher, told = _teacher(settings, features, quick), _feature_settings(features, quick)
    depths = depths_for(settings)
    return Online(OnlineFolder(folder, About(settings, told, source, data or folder)), teacher, depths)


def resume(folder: Path, features: FeatureMaker | None = None) -> Online:
    """Go on with a run that ended before it was finished, from its last keyframe; frames before it are passed over.

    Args:
        folder: of the run.
        features: what finds and embeds segments; None for the stages' own, as the run says.

    Raises:
        FormatError: there is no such run, or it is damaged or finished.
        LangfieldError: another process holds it.
    """
    manifest = read_json(folder / MANIFEST, MAX_MANIFEST_BYTES)
    told: Any = manifest.get("online") if isinstance(manifest, dict) else None
    if not isinstance(told, dict) or manifest.get("state") != "running":
        raise FormatError("this is no unfinished run of online mapping", folder, "give the folder of one")
    settings = read_settings(OnlineSettings, told.get("settings"), folder / MANIFEST)
    found = read_settings(RunSettings, manifest.get("settings"), folder / MANIFEST)
    about = About(settings, found, str(told.get("source")), Path(str(manifest.get("data"))))
    teacher, depths = _teacher(settings, features, found), depths_for(settings)
    online = Online(OnlineFolder(folder, about), teacher, depths)
    if (folder / STATE / STATE_FILE).is_file():
        online.resume()
    return online


def folder_in(out: Path, source: str) -> Path:
    """Give the folder of a new run among others: OUT/SOURCE/online/TIME."""
    return out / source / METHOD / datetime.now().astimezone().strftime("%Y-%m-%d_%H%M%S")


def _feature_settings(features: FeatureMaker | None, known: RunSettings) -> RunSettings:
    return replace(features.settings if features is not None else known, hold_out_every=0)


def _teacher(settings: OnlineSettings, features: FeatureMaker | None, known: RunSettings) -> Teacher | None:
    """Make what brings language in, by the mode."""
    if settings.language == "none":
        return None
    if settings.language == "online-langsplat":
        from langfield.online.paper.teacher import open_teacher

        return open_teacher()
    caps = replace(settings.caps, max_gaussians=2 * settings.caps.max_gaussians)  # new ones come before old ones go
    return SegmentTeacher(features or StageFeatures(known), LiftedLanguage(settings.language_map, caps))
