"""How many Gaussians a page bears: it begins with few, and has twice as many for as long as it draws them quickly.

Without a GPU a browser draws them on the processor, about one after the other: their number alone decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import viser

START = 20_000
"""A page begins with so many, and is never thought to bear fewer."""
QUICK_S = 0.3
"""A page that takes longer to draw is not smooth."""
PATIENCE_S = 3.0
UNHEARD = 3
"""A page that has said nothing so often is not asked again."""
SIDE_PX = 16


class Pace:
    """What is known of one page.

    Args:
        trusted: whether it gets whatever the budget allows, unasked.
    """

    def __init__(self, trusted: bool = False) -> None:
        self._bears: int | None = None if trusted else START
        self._unheard = 0
        self.settled = trusted
        """Nothing more is to be found out."""

    def room(self, budget: int) -> int:
        """Give how many Gaussians the page should have."""
        return budget if self._bears is None else min(budget, self._bears)

    def saw(self, count: int, seconds: float | None) -> bool:
        """Take in how long the page took to draw so many; None where it did not say. Tells whether to try more."""
        if seconds is None:
            self._unheard += 1
            self.settled = self._unheard >= UNHEARD
            return False
        self.settled = seconds > QUICK_S
        self._bears = max(START, count // 2) if self.settled else 2 * count
        return not self.settled


def seconds_to_draw(page: viser.ClientHandle, clock: Callable[[], float] = time.perf_counter) -> float | None:
    """Give how long a page takes to draw what it has; None where it does not answer, such as a tab in the background.

    Args:
        page: has been sent everything.
        clock: seconds.
    """
    try:
        page.get_render(SIDE_PX, SIDE_PX, timeout=PATIENCE_S)  # with what was sent before
        times = []
        for _ in range(2):  # once may be chance
            start = clock()
            page.get_render(SIDE_PX, SIDE_PX, timeout=PATIENCE_S)
            times.append(clock() - start)
            if times[-1] <= QUICK_S:
                break
    except (TimeoutError, RuntimeError):
        return None
    return min(times)
