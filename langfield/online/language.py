"""What a language map is that grows with every keyframe and can be asked at any moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from langfield.codec.types import Codec
from langfield.field.instances import Instances
from langfield.field.types import LanguageShape
from langfield.online.types import Keyframe, MapChange
from langfield.raster import Gaussians
from langfield.segment.types import Segments


@dataclass(frozen=True)
class LanguageParts:
    """What a `Field` takes beside its Gaussians."""

    codes: Shaped[Tensor, "L N d"]
    codec: Codec
    reliability: Float[Tensor, "L N"]
    instances: Instances | None
    instance_ids: Int64[Tensor, " I"]
    """A name of each thing that it keeps for as long as it is mapped; ids are never given to another."""
    views: tuple[int, ...]
    """Ids of the keyframes that views 0, 1, ... of `instances.members` are."""
    shape: LanguageShape | None = None
    """Rotation, scale and opacity of language's own, for `Field.language`; None where it has colour's."""


class LanguageMap(Protocol):
    """Keyframes say what Gaussians show; what they said can be renewed or taken back."""

    @property
    def held(self) -> tuple[int, ...]:
        """Ids of the keyframes that the map holds, rising."""
        ...

    def reindex(self, change: MapChange) -> None:
        """Follow the rows of the Gaussians; to be called for every change, in order."""
        ...

    def add(
        self, keyframe: Keyframe, gaussians: Gaussians, segments: Segments, vectors: Float[Tensor, "M D"]
    ) -> tuple[int, ...]:
        """Take in a new keyframe, and give the ids of those that had to go for it.

        Args:
            keyframe: with an id above all before it.
            gaussians: the map as it is now.
            segments: of the keyframe, at any size of the same view.
            vectors: unit vector per segment.

        Raises:
            SettingsError: the id does not rise or is too large.
            FormatError: segments and vectors do not fit.
        """
        ...

    def renew(self, keyframe: Keyframe, gaussians: Gaussians) -> None:
        """Put what a held keyframe says now, with its present pose and the present map, in place of what it said."""
        ...

    def drop(self, keyframe_id: int) -> None:
        """Take back all that a keyframe said."""
        ...

    def stale(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> list[int]:
        """Name the held keyframes that spoke of another map or from another pose, the one to renew first first."""
        ...

    def freshen(self, gaussians: Gaussians, keyframes: Sequence[Keyframe], budget_s: float) -> list[int]:
        """Renew stale keyframes until the time is used up, and give their ids; a keyframe begun is finished."""
        ...

    def parts(self, n: int) -> LanguageParts:
        """Give what the map says now of its n Gaussians; cheap where little has changed since it was last asked.

        Raises:
            FormatError: n is not the number of rows the map knows of.
        """
        ...

    def finish(self, gaussians: Gaussians, keyframes: Sequence[Keyframe]) -> LanguageParts:
        """Renew what is stale and give the final map: that of the offline language stage on the same views."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give all that a later process needs, as tensors and JSON data for `artefacts.write_tensors`."""
        ...

    def load_state(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from what `state` gave.

        Raises:
            FormatError: tensors are missing or do not fit each other.
        """
        ...
