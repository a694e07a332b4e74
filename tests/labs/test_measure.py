"""Timing a call: which samples are taken, and what is reported of them. No test depends on real speed."""

from __future__ import annotations

import pytest

from labs import measure
from labs.context import Cancelled
from labs.measure import Timing, time_calls


class Clock:
    """A clock that only calls advance."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    return clock


def test_a_steady_call(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        clock.now += 0.01

    timing = time_calls(call, budget_s=0.5)
    assert timing.median_s == pytest.approx(0.01)
    assert timing.low_s == pytest.approx(0.01) and timing.high_s == pytest.approx(0.01)
    assert calls == timing.repeats + measure.WARM_UP_CALLS
    assert 50 <= timing.repeats <= 51


def test_warm_up_is_not_counted_and_the_spread_is(clock: Clock) -> None:
    # A first call of 0.4 s (a compilation), then 2 to 12 ms in turn.
    in_turn = [duration * 1e-3 for duration in range(2, 13)]
    durations = iter([0.4, 0.002, *in_turn * 100])

    def call() -> None:
        clock.now += next(durations)

    timing = time_calls(call, budget_s=0.5)
    assert timing.low_s == pytest.approx(0.004)
    assert timing.median_s == pytest.approx(0.007)
    assert timing.high_s == pytest.approx(0.010)


def test_short_calls_are_timed_in_batches(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        clock.now += 1e-5

    timing = time_calls(call, budget_s=0.1)
    assert timing.median_s == pytest.approx(1e-5)
    assert timing.repeats == pytest.approx(0.1 / measure.SAMPLE_S, abs=2)
    assert calls == pytest.approx(timing.repeats * measure.SAMPLE_S / 1e-5 + measure.WARM_UP_CALLS, rel=0.05)


def test_a_call_longer_than_the_budget_is_not_repeated_for_ever(clock: Clock) -> None:
    def call() -> None:
        clock.now += 30.0

    assert time_calls(call, budget_s=0.5) == Timing(30.0, 30.0, 30.0, 1)


def test_a_call_of_the_budgets_length_gets_its_samples(clock: Clock) -> None:
    def call() -> None:
        clock.now += 0.4

    assert time_calls(call, budget_s=0.5).repeats == measure.MIN_SAMPLES


def test_it_can_be_stopped_between_samples(clock: Clock) -> None:
    checks = 0

    def check() -> None:
        nonlocal checks
        checks += 1
        if checks == 5:
            raise Cancelled

    def call() -> None:
        clock.now += 0.01

    with pytest.raises(Cancelled):
        time_calls(call, check=check)
    assert checks == 5
