"""Simulated time is counted in whole picoseconds, as gem5 does.

Integers add up without rounding, so a stretch of steps that is added up at once ends at exactly the moment at
which stepping through it would.
"""

from __future__ import annotations

import sys

PER_SECOND = 10**12
NEVER = sys.maxsize  # 106 days


def ticks(seconds: float) -> int:
    return round(seconds * PER_SECOND)


def seconds(ticks: int) -> float:
    return ticks / PER_SECOND
