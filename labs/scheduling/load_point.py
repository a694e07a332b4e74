"""What one order does at one rate, as the sweeps of load draw it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.results import Axis, array
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.results import Array
    from labs.scheduling.policy_run import PolicyRun

BATCHES = 20  # of consecutive requests, whose means tell the standard error
RATE_AXIS = Axis(title=Text(zh="到达率", en="offered rate"), unit="req/s")


class Point(NamedTuple):
    """One order at one rate."""

    rate_per_s: float
    attainment: float
    goodput_per_s: float
    finished_per_s: float
    ttft_p99_s: float
    wait_s: float
    wait_error_s: float


def point_of(rate_per_s: float, run: PolicyRun) -> Point:
    batches = [float(part.mean()) for part in np.array_split(run.wait_s, BATCHES) if len(part)]
    return Point(
        rate_per_s,
        run.attainment,
        run.goodput_per_s,
        _finished_per_s(run),
        float(np.percentile(run.ttft_s, 99)),
        float(run.wait_s.mean()),
        float(np.std(batches, ddof=1) / math.sqrt(len(batches))),
    )


def _finished_per_s(run: PolicyRun) -> float:
    """While requests still come, and after the first fifth, in which the batch fills."""
    last = float(run.arrival_s[-1])
    return float(((run.end_s > last / 5) & (run.end_s <= last)).sum()) / (last * 4 / 5)


def column(points: Sequence[Point], name: str, factor: float = 1.0) -> Array:
    return array([factor * getattr(point, name) for point in points])
