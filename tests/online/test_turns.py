"""Who goes first: mapping waits while somebody asks, never for long, and never for most of the time."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from langfield.online.turns import Turns


class Waiting(Event):
    """Notes how long was waited for it; time passes only then, and the question ends after so long."""

    def __init__(self, takes_s: float) -> None:
        super().__init__()
        self.now, self.takes_s, self.waits = 0.0, takes_s, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(min(timeout, self.takes_s))
        self.now += self.waits[-1]
        return self.takes_s <= timeout


def watched(takes_s: float, most_s: float = 0.25) -> tuple[Turns, Waiting]:
    free = Waiting(takes_s)
    return Turns(most_s, free, lambda: free.now), free


def test_nobody_waits_where_nobody_asks():
    turns, free = watched(0.1)
    turns.give_way()
    with turns.question():
        pass
    with pytest.raises(ValueError, match="bad"), turns.question():
        raise ValueError("bad")
    turns.give_way()
    assert free.waits == []
    assert turns.waited_s == 0


@pytest.mark.parametrize(("takes_s", "waits_s"), [(0.1, 0.1), (9.0, 0.25)])
def test_mapping_waits_for_a_question_but_not_for_long(takes_s, waits_s):
    turns, free = watched(takes_s)
    with turns.question():
        turns.give_way()
    assert free.waits == [waits_s]
    assert turns.waited_s == waits_s


def test_as_long_as_any_of_several_asks_it_waits():
    turns, free = watched(0.1)
    with turns.question():
        with turns.question():
            pass
        turns.give_way()
    free.now += 1
    turns.give_way()
    assert len(free.waits) == 1


def test_a_flood_of_questions_leaves_mapping_half_of_the_time():
    turns, free = watched(9.0)
    steps = 0
    with turns.question():
        for _ in range(1000):
            turns.give_way()
            free.now += 0.01  # a step
            steps += 1
    assert 0.4 * free.now < turns.waited_s < 0.6 * free.now
    assert steps == 1000


def test_it_goes_on_when_the_question_ends():
    turns, done = Turns(most_s=60.0), Event()

    def work() -> None:
        turns.give_way()
        done.set()

    thread = Thread(target=work)
    with turns.question():
        thread.start()
    thread.join(30)
    assert done.is_set()
