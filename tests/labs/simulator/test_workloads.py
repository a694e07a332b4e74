"""Generated workloads: the distribution that was asked for, the same for the same seed, and closed loops."""

from __future__ import annotations

import math
import statistics
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.simulator.workloads import (
    ClosedLoop,
    OpenLoop,
    fixed_lengths,
    gamma_arrivals,
    lognormal_lengths,
    open_workload,
    poisson_arrivals,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.simulator.traces import Request

COUNT = 20_000


def gaps(arrivals: Iterator[float]) -> list[float]:
    times = [0.0, *islice(arrivals, COUNT)]
    return [after - before for before, after in pairwise(times)]


@pytest.mark.parametrize("variation", [0.25, 1.0, 3.0])
def test_gamma_gaps_have_the_rate_and_the_variation_asked_for(variation: float) -> None:
    found = gaps(gamma_arrivals(5.0, variation, seed=1))
    # The mean of n gaps scatters by variation / sqrt(n), 2 % at most here; the variation by more.
    assert statistics.fmean(found) == pytest.approx(0.2, rel=0.06)
    assert statistics.pstdev(found) / statistics.fmean(found) == pytest.approx(variation, rel=0.1)
    assert min(found) >= 0


def test_poisson_counts_have_equal_mean_and_variance() -> None:
    counts = [0] * 1000
    for time in poisson_arrivals(8.0, seed=2):
        if time >= len(counts):
            break
        counts[int(time)] += 1
    assert statistics.fmean(counts) == pytest.approx(8.0, rel=0.05)
    assert statistics.pvariance(counts) == pytest.approx(8.0, rel=0.15)


def test_even_arrivals_keep_no_rounding_error() -> None:
    assert list(islice(gamma_arrivals(10.0, 0.0, seed=1), 3)) == [0.1, 0.2, 0.3]


def test_lognormal_lengths_have_the_mean_and_the_variation_asked_for() -> None:
    pairs = list(islice(lognormal_lengths(1000.0, 200.0, 0.8, most=10**6, seed=3), COUNT))
    for place, mean in ((0, 1000.0), (1, 200.0)):
        drawn = [pair[place] for pair in pairs]
        assert statistics.fmean(drawn) == pytest.approx(mean, rel=0.03)
        assert statistics.pstdev(drawn) / mean == pytest.approx(0.8, rel=0.08)


def test_lognormal_lengths_are_cut() -> None:
    pairs = list(islice(lognormal_lengths(2.0, 50.0, 2.0, most=60, seed=3), 2000))
    assert min(pair[0] for pair in pairs) == 1
    assert max(pair[1] for pair in pairs) == 60


def workload(seed: int, rate: float = 6.0) -> list[Request]:
    lengths = lognormal_lengths(500.0, 100.0, 1.0, most=4096, seed=seed)
    return list(open_workload(poisson_arrivals(rate, seed), lengths, 50))


def test_the_seed_alone_decides() -> None:
    assert workload(seed=4) == workload(seed=4)
    assert workload(seed=4) != workload(seed=5)


def test_another_rate_keeps_the_lengths() -> None:
    slow, fast = workload(seed=4, rate=1.0), workload(seed=4, rate=9.0)
    assert [r.input_tokens for r in slow] == [r.input_tokens for r in fast]
    assert [r.arrival_s for r in slow] != [r.arrival_s for r in fast]


def test_an_open_loop_hands_out_everything_in_order() -> None:
    source, taken = OpenLoop(workload(seed=4)), []
    while source.next_arrival_s < math.inf:
        due = source.next_arrival_s
        taken.append(source.take())
        assert taken[-1].arrival_s == due
    assert taken == workload(seed=4)
    assert OpenLoop([]).next_arrival_s == math.inf


@given(
    users=st.integers(1, 5),
    think_s=st.sampled_from([0.0, 0.5, 20.0]),
    count=st.integers(1, 40),
    seed=st.integers(0, 100),
    serve_s=st.floats(0.01, 3.0),
)
def test_a_closed_loop_never_asks_twice_before_an_answer(
    users: int, think_s: float, count: int, seed: int, serve_s: float
) -> None:
    """Served one at a time: every request comes, none has two open ones of its user, times do not go back."""
    source = ClosedLoop(users, think_s, fixed_lengths(3, 4), count, seed)
    waiting: list[Request] = []
    now, served = 0.0, 0
    while waiting or source.next_arrival_s < math.inf:
        while source.next_arrival_s <= now or not waiting:
            now = max(now, source.next_arrival_s)
            waiting.append(source.take())
            assert len({request.user for request in waiting}) == len(waiting) <= users
        now += serve_s
        done = waiting.pop(0)
        assert done.arrival_s <= now
        source.completed(done, now)
        served += 1
    assert served == count


def test_users_without_thinking_ask_at_once() -> None:
    source = ClosedLoop(1, 0.0, fixed_lengths(3, 4), 2, seed=0)
    first = source.take()
    assert first.arrival_s == 0.0 and source.next_arrival_s == math.inf
    source.completed(first, 2.5)
    assert source.take().arrival_s == 2.5


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: poisson_arrivals(0.0, 0), "rate_per_s = 0.0, expected a positive number"),
        (lambda: gamma_arrivals(1.0, -1.0, 0), "variation = -1.0"),
        (lambda: fixed_lengths(0, 1), "input_tokens = 0"),
        (lambda: ClosedLoop(0, 1.0, fixed_lengths(1, 1), 1, 0), "users = 0"),
        (lambda: ClosedLoop(1, -1.0, fixed_lengths(1, 1), 1, 0), "think_s = -1.0"),
    ],
)
def test_impossible_workloads_are_refused(make: object, says: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=says):
        make()
