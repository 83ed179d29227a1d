"""Train a run from Python as `ns-train langsplat` does, or find the one that is finished."""

from __future__ import annotations

import contextlib
import copy
import sys
from pathlib import Path

from langfield.artefacts import read_json
from langfield.errors import FormatError, LangfieldError
from langfield.plugin.config import langsplat, langsplat_4d
from langfield.plugin.trainer import LangsplatTrainerConfig
from langfield.run import MANIFEST
from langfield.settings import RunSettings


def train_run(data: Path, out: Path, settings: RunSettings) -> Path:
    """Give the folder of a finished run of a capture: one that is there, an unfinished one gone on with, or a new one.

    Args:
        data: the capture.
        out: folder of runs.
        settings: of the run.

    Raises:
        LangfieldError: training failed; it has said why.
    """
    config = run_config(data, out, settings)
    done = finished_run(config)
    if done is not None:
        return done
    from nerfstudio.scripts.train import train_loop

    with contextlib.redirect_stdout(sys.stderr):  # nerfstudio prints there; standard output is for results
        try:
            config.set_timestamp()
            config.save_config()
            train_loop(0, 1, config)
        except SystemExit as stop:
            raise LangfieldError("training failed, see above", data) from stop
    return config.get_base_dir()


def run_config(data: Path, out: Path, settings: RunSettings) -> LangsplatTrainerConfig:
    """Give the config that `ns-train langsplat --data DATA --output-dir OUT` makes, or langsplat-4d."""
    config = copy.deepcopy((langsplat if settings.motion is None else langsplat_4d).config)
    config.data = config.pipeline.datamanager.data = data.resolve()  # pyright: ignore
    config.output_dir = out
    config.pipeline.settings = settings  # pyright: ignore
    return config  # pyright: ignore


def finished_run(config: LangsplatTrainerConfig) -> Path | None:
    """Give the newest finished run of the same capture and settings, None where there is none."""
    found = []
    for manifest in sorted(config.get_base_dir().parent.glob(f"*/{MANIFEST}")):
        with contextlib.suppress(FormatError):
            about = read_json(manifest)
            if about.get("state") == "finished" and about.get("settings_key") == config.run_key():
                found.append(manifest.parent)
    return found[-1] if found else None
