"""Timing a call: which samples are taken, and what is reported of them. No test depends on real speed."""

from __future__ import annotations

from itertools import chain, cycle, repeat

import pytest

from labs import measure
from labs.context import Cancelled
from labs.measure import Timing, time_calls
from labs.text import same
from labs.timing_results import method, noise_warning, time_metric


class Clock:
    """A clock that only calls advance, and a processor whose speed is set."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rate = 1.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(measure, "time", clock)
    monkeypatch.setattr(measure, "clock_rate", lambda: clock.rate)
    return clock


def test_a_steady_call_is_measured_only_as_long_as_it_takes_to_see_that(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        clock.now += 0.01

    timing = time_calls(call, budget_s=0.5)
    assert timing.median_s == pytest.approx(0.01)
    assert timing.low_s == pytest.approx(0.01) and timing.high_s == pytest.approx(0.01)
    assert calls == timing.repeats + measure.WARM_UP_CALLS
    assert timing.repeats == measure.STEADY_SAMPLES
    assert not timing.noisy


def test_a_steady_start_is_not_believed_before_a_part_of_the_budget_is_spent(clock: Clock) -> None:
    def call() -> None:
        clock.now += 0.002

    assert time_calls(call, budget_s=0.5).repeats * 0.002 == pytest.approx(
        0.5 * measure.STEADY_SHARE, abs=0.02
    )


def test_an_unsteady_call_gets_the_whole_budget_and_a_warning(clock: Clock) -> None:
    durations = cycle([0.008, 0.010, 0.012])

    def call() -> None:
        clock.now += next(durations)

    timing = time_calls(call, budget_s=0.5)
    assert 49 <= timing.repeats <= 51
    assert timing.spread == pytest.approx(0.4)
    assert timing.noise is not None and "40%" in timing.noise.en and "40%" in timing.noise.zh


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


def test_short_calls_are_timed_in_batches_after_warming_up_for_a_while(clock: Clock) -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1
        clock.now += 1e-5

    timing = time_calls(call, budget_s=0.1)
    assert timing.median_s == pytest.approx(1e-5)
    warm_up = measure.WARM_UP_S / 1e-5
    assert calls == pytest.approx(timing.repeats * measure.SAMPLE_S / 1e-5 + warm_up, rel=0.05)


def test_a_call_longer_than_the_budget_is_not_repeated_for_ever(clock: Clock) -> None:
    def call() -> None:
        clock.now += 30.0

    timing = time_calls(call, budget_s=0.5)
    assert (timing.median_s, timing.low_s, timing.high_s, timing.repeats) == (30.0, 30.0, 30.0, 1)


def test_a_call_of_the_budgets_length_gets_its_samples(clock: Clock) -> None:
    def call() -> None:
        clock.now += 0.4

    assert time_calls(call, budget_s=0.5).repeats == measure.MIN_SAMPLES


def test_a_first_call_that_compiles_does_not_set_the_batch(clock: Clock) -> None:
    durations = chain([0.8], repeat(1e-5))

    def call() -> None:
        clock.now += next(durations)

    timing = time_calls(call, budget_s=0.1)
    assert timing.median_s == pytest.approx(1e-5)
    assert timing.repeats * measure.SAMPLE_S < 0.11  # a sample is of a millisecond, not of one call


def test_on_a_gpu_the_time_is_between_two_events(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launched ahead and waited for once a sample: the device's clock counts, not the host's."""
    import torch

    done: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            done.append("record")

        def elapsed_time(self, other: Event) -> float:
            assert done[-1] == "synchronize"
            return 2.0 * done.count("call")

    def call() -> None:
        done.append("call")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: done.append("synchronize"))
    assert measure._cuda_sample(call, 3) == pytest.approx(2e-3)
    assert done == ["record", "call", "call", "call", "record", "synchronize"]


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


def test_a_clock_that_changed_meanwhile_is_told_where_few_samples_cannot_show_it(clock: Clock) -> None:
    def call() -> None:
        clock.now += duration
        clock.rate *= 0.95

    duration = 0.4
    few = time_calls(call)
    assert few.clock_drift < -0.25
    assert few.noise is not None and f"{few.clock_drift:+.0%}" in few.noise.en
    duration = 0.01
    many = time_calls(call)
    assert many.clock_drift < -0.25 and not many.noisy


def test_the_processors_clock_says_nothing_of_a_gpu(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(call: object, batch: int) -> float:
        clock.now += 0.4
        clock.rate *= 0.5
        return 0.4

    monkeypatch.setattr(measure, "_cuda_sample", sample)
    timing = time_calls(lambda: None, "cuda")
    assert timing.repeats < 9 and not timing.clock_drift and not timing.noisy


def test_samples_that_get_slower_and_slower_are_told(clock: Clock) -> None:
    def call() -> None:
        clock.now += 0.01 * 1.005 ** ((clock.now - 100.0) / 0.01)

    timing = time_calls(call, budget_s=0.5)
    assert timing.sample_drift > 0.1
    slower = Timing(1.0, 0.95, 1.05, 30, sample_drift=0.5)
    assert slower.noise is not None and "+50%" in slower.noise.en


def test_cold_samples_are_single_calls_after_emptying_the_caches(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def empty() -> None:
        events.append("empty")
        clock.now += 1.0  # not part of the sample

    def call() -> None:
        events.append("call")
        clock.now += 1e-5

    monkeypatch.setattr(measure, "flusher", lambda device: empty)
    timing = time_calls(call, budget_s=0.1, cold=True)
    assert timing.cold and timing.median_s == pytest.approx(1e-5)
    assert events[-2 * timing.repeats :] == ["empty", "call"] * timing.repeats


def test_a_timing_as_a_metric_says_how_it_was_taken() -> None:
    quiet = Timing(1.0, 0.98, 1.02, 30, threads=2)
    metric = time_metric(quiet, id="one", title=same("One"), predicted_s=0.5, formula=same("n / 2"))
    assert (metric.value, metric.low, metric.high, metric.predicted) == (1.0, 0.98, 1.02, 0.5)
    assert metric.source is not None and "30 samples" in metric.source.en and "threads: 2" in metric.source.en
    assert "emptied" in method(Timing(1.0, 1.0, 1.0, 9, cold=True)).en


def test_a_noisy_timing_warns_wherever_it_is_shown() -> None:
    quiet, noisy = Timing(1.0, 0.98, 1.02, 30), Timing(1.0, 0.8, 1.3, 30)
    metric = time_metric(noisy, id="one", title=same("One"))
    assert "noisy" in metric.title.en and metric.source is not None and "50%" in metric.source.en
    warning = noise_warning([quiet, noisy, quiet])
    assert warning is not None and "Of 3 timings 1" in warning.en and "3 个计时里有 1 个" in warning.zh
    assert noise_warning([quiet, quiet]) is None
