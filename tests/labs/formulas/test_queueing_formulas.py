"""Waiting times against textbook values and a queue that is simulated customer by customer."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from labs.formulas.queueing import (
    fill_wait,
    full_batch_wait,
    mg1_wait,
    mm1_latency_percentile,
    mm1_wait,
    requests_in_system,
    utilisation,
)
from labs.formulas.serving import percentile


def test_by_hand() -> None:
    # 4 requests/s of 0.2 s: 80 % busy, 0.8 s in the queue, 1 s in all, so 4 requests inside.
    assert utilisation(4.0, 0.2) == pytest.approx(0.8)
    assert mm1_wait(4.0, 0.2) == pytest.approx(0.8)
    assert requests_in_system(4.0, mm1_wait(4.0, 0.2) + 0.2) == pytest.approx(4.0)


def test_fixed_service_waits_half_as_long_as_exponential() -> None:
    assert mg1_wait(4.0, 0.2, variation=0.0) == pytest.approx(mm1_wait(4.0, 0.2) / 2)


def test_from_full_load_on_the_wait_is_infinite() -> None:
    assert mm1_wait(5.0, 0.2) == mg1_wait(6.0, 0.2, 2.0) == math.inf
    assert mm1_latency_percentile(5.0, 0.2, 99) == math.inf


def test_median_latency_of_mm1() -> None:
    assert mm1_latency_percentile(4.0, 0.2, 50) == pytest.approx(math.log(2))


def waits(rate: float, service: list[float], seed: int) -> list[float]:
    """Lindley's recursion: what one waits is what the one before waited and took, less the gap between."""
    draw, wait, found = random.Random(seed), 0.0, []
    for taken in service:
        found.append(wait)
        wait = max(0.0, wait + taken - draw.expovariate(rate))
    return found


@pytest.mark.parametrize("variation", [0.0, 0.5, 1.0, 1.5])
def test_pollaczek_khinchine_is_what_a_queue_does(variation: float) -> None:
    draw = random.Random(7)
    shape = 1 / variation**2 if variation else 0.0
    service = [draw.gammavariate(shape, 0.1 / shape) if variation else 0.1 for _ in range(200_000)]
    # 60 % load keeps the sample's scatter within some per cent.
    assert statistics.fmean(waits(6.0, service, seed=1)) == pytest.approx(
        mg1_wait(6.0, 0.1, variation), rel=0.06
    )


def test_the_tail_of_mm1_is_what_a_queue_does() -> None:
    draw = random.Random(3)
    service = [draw.expovariate(10.0) for _ in range(200_000)]
    latency = [wait + taken for wait, taken in zip(waits(6.0, service, seed=2), service, strict=True)]
    assert percentile(latency, 95) == pytest.approx(mm1_latency_percentile(6.0, 0.1, 95), rel=0.06)


def test_waiting_for_a_full_batch_by_hand() -> None:
    # Of four, the first waits for three gaps of 0.5 s, the last for none: 0.75 s on average.
    assert fill_wait(2.0, 4) == pytest.approx((1.5 + 1.0 + 0.5 + 0.0) / 4)
    assert fill_wait(2.0, 1) == 0.0
    assert full_batch_wait(2.0, 4, 2.0) == math.inf


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_full_batches_wait_as_long_as_simulated_ones(load: float) -> None:
    size, batch_s, count = 8, 2.0, 80_000
    rate = load * size / batch_s
    draw, now, arrivals = random.Random(3), 0.0, []
    for _ in range(count):
        now += draw.expovariate(rate)
        arrivals.append(now)
    free, waits = 0.0, []
    for first in range(0, count, size):
        batch = arrivals[first : first + size]
        start = max(batch[-1], free)
        free = start + batch_s
        waits += [start - arrival for arrival in batch]
    simulated = statistics.fmean(waits)
    assert simulated * 0.98 <= full_batch_wait(rate, size, batch_s) <= simulated * 1.2
