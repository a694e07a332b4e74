"""How fast the processor is running right now, to notice that it changed while something was timed.

Cores lower their clock when they are hot, and a virtual machine's neighbours take turns on them. Where the
system tells the frequency it is read; elsewhere a fixed loop is timed.
"""

from __future__ import annotations

import time
from pathlib import Path

_FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
_LOOPS = 10_000
_ROUNDS = 5  # the fastest counts: the others were interrupted


def clock_rate() -> float:
    """Proportional to the processor's speed now; only the ratio of two readings has a meaning. Takes 1 ms."""
    try:
        return float(_FREQUENCY.read_text())
    except (OSError, ValueError):
        return 1 / min(_loop_s() for _ in range(_ROUNDS))


def _loop_s() -> float:
    start = time.perf_counter()
    for _ in range(_LOOPS):
        pass
    return time.perf_counter() - start
