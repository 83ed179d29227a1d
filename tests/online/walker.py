"""A process that maps the room until it is killed, or to the end; it says how far it is."""

from __future__ import annotations

import sys
from pathlib import Path

from langfield.online.mapping_settings import MappingSettings
from langfield.online.start import resume, start
from langfield.online.types import OnlineSettings
from tests.online.known import KnownFeatures
from tests.online.room import loop

COUNT = 21
SETTINGS = OnlineSettings(
    poses="given", side_px=48, mapping=MappingSettings(steps=3, first_steps=8), freshen_s=1e-6, snapshot_s=0.0
)


def main(folder: Path) -> None:
    """Begin in a folder or go on there, and finish."""
    frames, features = loop(COUNT, 48, 36, 0.25), KnownFeatures()
    features.know(frames)
    again = (folder / "manifest.json").is_file()
    online = resume(folder, features) if again else start(folder, SETTINGS, features)
    for frame in frames:
        report = online.add_frame(frame)
        sys.stdout.write(f"{report.index} {report.outcome}\n")
        sys.stdout.flush()
    online.finish()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
