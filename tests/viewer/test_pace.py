"""A page gets more for as long as it draws quickly; what is slow, silent or chosen ends the search."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langfield.viewer.pace import QUICK_S, START, UNHEARD, Pace, seconds_to_draw

QUICK, SLOW = QUICK_S / 2, 2 * QUICK_S


def test_a_quick_page_soon_has_all():
    pace, seen = Pace(), [START]
    while pace.room(300_000) < 300_000:
        assert pace.saw(seen[-1], QUICK)
        seen.append(pace.room(300_000))
    assert seen == [START, 2 * START, 4 * START, 8 * START, 300_000]
    assert not pace.settled
    assert pace.room(1000) == 1000


@pytest.mark.parametrize(("borne", "left"), [(START, START), (2 * START, START), (8 * START, 4 * START)])
def test_a_slow_page_goes_back_and_stays_there(borne, left):
    pace = Pace()
    while pace.room(10**9) < borne:
        pace.saw(pace.room(10**9), QUICK)
    assert not pace.saw(borne, SLOW)
    assert pace.settled
    assert pace.room(10**9) == left


def test_a_silent_page_is_asked_a_few_times():
    pace = Pace()
    for _ in range(UNHEARD):
        assert not pace.settled
        assert not pace.saw(START, None)
    assert pace.settled
    assert pace.room(10**9) == START


def test_what_somebody_chose_is_given():
    pace = Pace(trusted=True)
    assert pace.settled
    assert pace.room(10**6) == 10**6


class Frames:
    """A page whose frames take given times on its own clock; what is no time is raised."""

    def __init__(self, *frames: float | Exception) -> None:
        self.now, self.frames = 0.0, iter(frames)

    def get_render(self, height: int, width: int, timeout: float) -> None:
        assert 0 < height * width < 1000
        assert timeout > 0
        frame = next(self.frames)
        if isinstance(frame, Exception):
            raise frame
        self.now += frame

    def left(self) -> Iterator[float | Exception]:
        return self.frames


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        ((9.0, QUICK), QUICK),  # the first takes in what was sent
        ((9.0, SLOW, QUICK), QUICK),
        ((9.0, 2 * SLOW, SLOW), SLOW),
        ((TimeoutError(),), None),
        ((0.1, RuntimeError("gone")), None),
    ],
)
def test_how_long_a_page_takes(frames, found):
    page = Frames(*frames)
    seconds = seconds_to_draw(page, lambda: page.now)  # pyright: ignore
    assert seconds == (found if found is None else pytest.approx(found))
    assert not list(page.left())
