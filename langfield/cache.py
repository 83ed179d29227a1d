"""Where stages leave artefacts that several runs share: one file per unit of work, named by content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path


@dataclass(frozen=True)
class Cache:
    """A folder of artefacts keyed by what made them; deleting any part of it only costs time."""

    root: Path
    redo: tuple[str, ...] = ()
    """Stages whose artefacts are made again although they are there."""

    def path(self, stage: str, key: str, suffix: str) -> Path:
        """Give the place of one artefact.

        Args:
            stage: name of the stage, such as "segments".
            key: `artefacts.content_key` of all that the artefact depends on.
            suffix: file suffix with its dot, or "" for a folder.
        """
        return self.root / stage / key[:2] / f"{key}{suffix}"

    def has(self, stage: str, path: Path) -> bool:
        """Tell whether `path` can be used instead of working again."""
        return stage not in self.redo and path.exists()


def open_cache(root: Path | None, redo: tuple[str, ...] = ()) -> Cache:
    """Give the cache at `root`, or the user's own cache folder where None."""
    return Cache(root or user_cache_path("langfield") / "stages", redo)
