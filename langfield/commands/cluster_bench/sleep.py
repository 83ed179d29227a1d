"""Tasks that only wait: what is left is what scheduling costs. Imports nothing heavy, so workers start at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sleep:
    """Waits; see `langfield.cluster.types.Work`."""

    seconds: float

    def open(self) -> Callable[[int], int]:
        """Give what waits."""
        return self._sleep

    def _sleep(self, number: int) -> int:
        time.sleep(self.seconds)
        return number
