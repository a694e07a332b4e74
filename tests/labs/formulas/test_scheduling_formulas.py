"""Orders of service, fairness and choices against textbook values and queues simulated one by one."""

from __future__ import annotations

import heapq
import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.formulas.queueing import mg1_wait, mm1_wait
from labs.formulas.scheduling import (
    any_slow,
    fair_share_gap,
    jain_index,
    log_spread,
    max_min_shares,
    mg1_fcfs_wait,
    mg1_sjf_wait,
    mg1_sjf_waits,
    mgk_wait,
    pooled_wait,
    prediction_tau,
    supermarket_time,
)

TWO_POINT = [1.0] * 9 + [11.0]


def queue(rate: float, service: list[float], shortest: bool, seed: int, servers: int = 1) -> float:
    """Mean wait, customer by customer."""
    draw, at, arrivals = random.Random(seed), 0.0, []
    for taken in service:
        at += draw.expovariate(rate)
        arrivals.append((at, taken))
    free, waiting, waits, coming = [0.0] * servers, list[tuple[float, float, float]](), [], 0
    while coming < len(arrivals) or waiting:
        now = heapq.heappop(free)
        if not waiting:
            now = max(now, arrivals[coming][0])
        while coming < len(arrivals) and arrivals[coming][0] <= now:
            came, taken = arrivals[coming]
            heapq.heappush(waiting, (taken if shortest else came, came, taken))
            coming += 1
        _, came, taken = heapq.heappop(waiting)
        waits.append(now - came)
        heapq.heappush(free, now + taken)
    return statistics.fmean(waits)


def test_first_come_is_pollaczek_khinchine() -> None:
    mean, variation = statistics.fmean(TWO_POINT), statistics.pstdev(TWO_POINT) / statistics.fmean(TWO_POINT)
    assert mg1_fcfs_wait(0.4, TWO_POINT) == pytest.approx(mg1_wait(0.4, mean, variation))


@pytest.mark.parametrize("shortest", [False, True])
def test_waits_are_those_of_a_simulated_queue(shortest: bool) -> None:
    draw = random.Random(1)
    service = [draw.choice(TWO_POINT) for _ in range(200_000)]
    expected = (mg1_sjf_wait if shortest else mg1_fcfs_wait)(0.35, TWO_POINT)
    assert queue(0.35, service, shortest, seed=2) == pytest.approx(expected, rel=0.05)


def test_shortest_first_leaves_the_longest_waiting() -> None:
    short, *_, long = mg1_sjf_waits(0.45, TWO_POINT)
    everyone = mg1_fcfs_wait(0.45, TWO_POINT)
    assert short < everyone < long
    # In overload the short ones are still served.
    overloaded = mg1_sjf_waits(0.8, TWO_POINT)
    assert math.isfinite(overloaded[0]) and overloaded[-1] == math.inf


def test_equal_lengths_make_all_orders_alike() -> None:
    assert mg1_sjf_wait(0.5, [1.0] * 4) == pytest.approx(mg1_fcfs_wait(0.5, [1.0]))


def test_several_servers() -> None:
    assert mgk_wait(0.8, 1.0, 1.0, 1) == pytest.approx(mm1_wait(0.8, 1.0))
    # M/M/2 by hand: rho**2 / (1 - rho**2) service times.
    assert mgk_wait(1.6, 1.0, 1.0, 2) == pytest.approx(0.64 / 0.36)
    assert mgk_wait(2.0, 1.0, 1.0, 2) == math.inf
    draw = random.Random(4)
    service = [draw.expovariate(1.0) for _ in range(200_000)]
    assert queue(6.8, service, False, seed=5, servers=8) == pytest.approx(
        mgk_wait(6.8, 1.0, 1.0, 8), rel=0.08
    )
    apart, together = pooled_wait(6.8, 1.0, 8)
    assert apart == pytest.approx(mm1_wait(0.85, 1.0)) and together < apart / 5


def test_jain() -> None:
    assert jain_index([3.0, 3.0, 3.0]) == pytest.approx(1.0)
    assert jain_index([7.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)
    assert jain_index([]) == jain_index([0.0]) == 1.0


@given(st.floats(0, 100), st.lists(st.floats(0, 50), min_size=1, max_size=8))
def test_max_min_gives_all_that_is_asked_for_or_there(capacity: float, demands: list[float]) -> None:
    shares = max_min_shares(capacity, demands)
    assert sum(shares) == pytest.approx(min(capacity, sum(demands)), abs=1e-9)
    assert all(share <= demand for share, demand in zip(shares, demands, strict=True))
    unmet = [share for share, demand in zip(shares, demands, strict=True) if share < demand - 1e-9]
    # Who did not get all it wanted has as much as anybody.
    assert all(share >= max(shares) - 1e-9 for share in unmet)


def test_fair_share_gap() -> None:
    assert fair_share_gap(1024, 4096) == 16384
    assert fair_share_gap(9000, 4096) == 18000


def test_two_choices() -> None:
    assert supermarket_time(0.9, 1) == pytest.approx(10.0)
    # By hand: 1 + 0.5**2 + 0.5**6 + 0.5**14 + ...
    assert supermarket_time(0.5, 2) == pytest.approx(1 + 0.25 + 0.5**6 + 0.5**14)
    assert supermarket_time(0.9, 3) < supermarket_time(0.9, 2) < 3
    assert supermarket_time(0.0, 2) == 1.0 and supermarket_time(1.0, 2) == math.inf


def test_any_slow() -> None:
    assert any_slow(0.01, 100) == pytest.approx(1 - 0.99**100)
    assert any_slow(1.0, 3) == 1.0


def test_prediction_tau_is_that_of_drawn_lengths() -> None:
    draw = random.Random(3)
    spread = log_spread(1.2)
    assert spread == pytest.approx(math.sqrt(math.log(2.44)))
    true = [draw.gauss(0, spread) for _ in range(1500)]
    guess = [one + draw.gauss(0, 0.7) for one in true]
    pairs = [
        math.copysign(1, (true[i] - true[j]) * (guess[i] - guess[j])) for i in range(1500) for j in range(i)
    ]
    assert prediction_tau(spread, 0.7) == pytest.approx(statistics.fmean(pairs), abs=0.03)
    assert prediction_tau(1.0, 0.0) == pytest.approx(1.0)
