"""Timing a call: warm up, then the median and the 20th and 80th percentiles of repeated runs."""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# A sample shorter than this is a batch of several calls: clock and scheduler disturb short samples most.
SAMPLE_S = 1e-3
WARM_UP_CALLS = 2
MIN_SAMPLES = 5
MAX_SAMPLES = 1000
# A call much longer than the budget is not repeated MIN_SAMPLES times: a run must stay responsive.
PATIENCE = 4.0


class Timing(msgspec.Struct, frozen=True):
    """Seconds a call: the median of ``repeats`` samples, with their 20th and 80th percentiles."""

    median_s: float
    low_s: float
    high_s: float
    repeats: int


def time_calls(
    call: Callable[[], object],
    device: str = "cpu",
    budget_s: float = 0.5,
    check: Callable[[], None] = lambda: None,
) -> Timing:
    """Time ``call`` for about ``budget_s`` after warming up; ``check`` runs between samples and may raise.

    On ``cuda`` the time is the device's own, between two events; elsewhere it is wall time.
    """
    sample = _cuda_sample if device.startswith("cuda") else _cpu_sample
    once_s = math.inf
    for _ in range(WARM_UP_CALLS):
        check()
        once_s = min(once_s, sample(call, 1))
        if once_s > budget_s:
            break
    batch = max(1, math.ceil(SAMPLE_S / max(once_s, 1e-9)))
    samples: list[float] = []
    start = time.perf_counter()
    while len(samples) < MAX_SAMPLES:
        check()
        samples.append(sample(call, batch))
        spent = time.perf_counter() - start
        if spent >= budget_s * PATIENCE or (spent >= budget_s and len(samples) >= MIN_SAMPLES):
            break
    return _summary(samples)


def _cpu_sample(call: Callable[[], object], batch: int) -> float:
    start = time.perf_counter()
    for _ in range(batch):
        call()
    return (time.perf_counter() - start) / batch


def _cuda_sample(call: Callable[[], object], batch: int) -> float:
    import torch

    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begin.record()
    for _ in range(batch):
        call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) * 1e-3 / batch


def _summary(samples: list[float]) -> Timing:
    if len(samples) == 1:
        return Timing(samples[0], samples[0], samples[0], 1)
    low, _, _, high = statistics.quantiles(samples, n=5, method="inclusive")
    return Timing(statistics.median(samples), low, high, len(samples))
