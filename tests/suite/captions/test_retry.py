"""Waits between attempts: how long, how often, for whom. No test really waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langfield.errors import EnvironmentProblem, SettingsError
from langfield.suite.captions.retry import Again, Retries, RetrySettings
from tests.suite.captions.clock import Clock

BUSY = EnvironmentProblem("busy")


def fails(times: int, **how) -> Callable[[], str]:
    left = [times]

    def attempt() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise Again(BUSY, **how)
        return "words"

    return attempt


def run(settings: RetrySettings, attempt: Callable[[], str], salt: str = "a") -> list[float]:
    clock = Clock()
    assert Retries(settings, clock, clock.sleep).run(attempt, salt) == "words"
    return clock.slept


@given(st.integers(1, 60), st.integers(0, 5), st.text(max_size=5))
def test_a_wait_doubles_up_to_its_cap_and_at_least_half_of_it_is_sure(failures, seed, salt):
    settings = RetrySettings(first_wait_s=0.5, longest_wait_s=20, seed=seed)
    most = min(20, 0.5 * 2 ** (failures - 1))
    assert most / 2 <= settings.wait_s(failures, salt) <= most


def test_jitter_is_of_the_seed_and_the_task():
    settings = RetrySettings(tries=5)
    assert run(settings, fails(4)) == run(settings, fails(4))
    assert run(settings, fails(4)) != run(settings, fails(4), "b")
    assert run(settings, fails(4)) != run(RetrySettings(tries=5, seed=1), fails(4))
    assert len(run(settings, fails(4))) == 4


def test_the_last_attempt_raises_its_error_without_a_wait_behind_it():
    clock = Clock()
    with pytest.raises(EnvironmentProblem) as caught:
        Retries(RetrySettings(tries=3), clock, clock.sleep).run(fails(9), "a")
    assert caught.value is BUSY
    assert len(clock.slept) == 2


def test_what_a_server_asks_for_is_waited_even_above_the_cap():
    assert run(RetrySettings(longest_wait_s=2), fails(1, after_s=30)) == [30]
    assert run(RetrySettings(first_wait_s=40, longest_wait_s=40), fails(1, after_s=1))[0] >= 20


def test_what_would_take_longer_than_the_patience_fails_at_once():
    clock = Clock()
    with pytest.raises(EnvironmentProblem):
        Retries(RetrySettings(patience_s=100), clock, clock.sleep).run(fails(1, after_s=101), "a")
    assert clock.slept == []


def test_when_a_server_is_busy_nobody_asks_before_the_wait_is_over():
    clock, asked = Clock(), list[float]()

    def another_asks_meanwhile(seconds: float) -> None:
        if not asked:  # the first sleep is that of the task that met the busy server
            asked.append(-1.0)
            retries.run(lambda: asked.append(clock.now) or "words", "b")
        else:
            clock.sleep(seconds)

    retries = Retries(RetrySettings(), clock, another_asks_meanwhile)
    retries.run(fails(1, after_s=7, everyone=True), "a")
    assert asked == [-1.0, 7.0]
    asked.clear()
    retries.run(fails(1, after_s=7), "a")
    assert asked == [-1.0, 7.0]  # not everyone waits: the other one asks at once, no time has passed


def test_other_errors_pass_through_and_are_not_tried_again():
    def attempt() -> str:
        calls.append(1)
        raise SettingsError("wrong key")

    calls = list[int]()
    with pytest.raises(SettingsError, match="wrong key"):
        Retries(RetrySettings()).run(attempt, "a")
    assert len(calls) == 1


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"first_wait_s": -1}, {"patience_s": float("nan")}, {"tries": 101}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        RetrySettings(**wrong)
