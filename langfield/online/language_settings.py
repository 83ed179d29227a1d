"""How the online language map is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from langfield.codec.codebook import CodebookSettings
from langfield.errors import SettingsError
from langfield.field.instance_build import InstanceSettings
from langfield.field.lift_solve import LiftSettings


@dataclass(frozen=True)
class OnlineLanguageSettings:
    """How what keyframes say becomes codes and things while the camera moves, and when it has stopped."""

    lift: LiftSettings = field(default_factory=LiftSettings)
    """How sums become vectors."""
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    """How things are made of segments."""
    codebook: CodebookSettings = field(default_factory=CodebookSettings)
    """The codebook of the finished map; its terms are those of the growing one too."""
    explained: float = 0.97
    """A segment's vector whose code has a lower cosine with it becomes an atom of the growing codebook."""


def check_online_language(settings: OnlineLanguageSettings) -> None:
    """Refuse settings out of range.

    Raises:
        SettingsError: one is.
    """
    if not 0 < settings.explained < 1:
        raise SettingsError("the online language map needs explained between 0 and 1", settings)
    if not (0 < settings.instances.overlap <= 1 and 0 < settings.instances.share < 1):
        raise SettingsError("instances need overlap above 0 and up to 1, share between 0 and 1", settings.instances)
