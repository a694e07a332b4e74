"""The one timer: warm up, then the median and the 20th and 80th percentiles, and whether to believe them.

Samples are taken until they agree or the budget is spent. On a GPU the time is the device's own, between two
events. ``cold`` empties the caches before each sample; to keep only the data cold, as a model's weights are,
let the call take its operands in turn (``labs.caches.rotate``).
"""

from __future__ import annotations

import math
import statistics
import time
from typing import TYPE_CHECKING

import msgspec

from labs.caches import flusher
from labs.clock_rate import clock_rate
from labs.environment import threads
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

# A sample shorter than this is a batch of several calls: clock and scheduler disturb short samples most.
SAMPLE_S = 1e-3
WARM_UP_CALLS = 2
WARM_UP_S = 0.02  # clocks rise, and allocators settle, under load only
MIN_SAMPLES = 5
MAX_SAMPLES = 1000
# A call much longer than the budget is not repeated MIN_SAMPLES times: a run must stay responsive.
PATIENCE = 4.0
# Enough for a stable median: so many samples, over such a part of the budget, whose percentiles lie so close.
STEADY_SAMPLES, STEADY_SHARE, STEADY_SPREAD = 20, 0.25, 0.02
# Beyond these a difference of some ten per cent between two timings may be the machine's, not the code's.
NOISY_SPREAD, NOISY_DRIFT = 0.2, 0.2
_THIRD = 3  # samples that a third must have before the last one is compared with the first


class Timing(msgspec.Struct, frozen=True):
    """Seconds a call: the median of ``repeats`` samples, with their 20th and 80th percentiles.

    ``threads`` that torch could use (0: not noted). ``clock_drift`` is how much the processor's speed changed
    from start to end (0.1: 10 % faster at the end), ``sample_drift`` how much longer the last third of the
    samples took than the first. ``cold``: the caches were emptied before each sample.
    """

    median_s: float
    low_s: float
    high_s: float
    repeats: int
    threads: int = 0
    clock_drift: float = 0.0
    sample_drift: float = 0.0
    cold: bool = False

    @property
    def spread(self) -> float:
        """Distance of the two percentiles as a share of the median."""
        return (self.high_s - self.low_s) / self.median_s if self.median_s > 0 else 0.0

    @property
    def noise(self) -> Text | None:
        """Why the machine was too noisy to conclude from this timing; None where it was quiet enough."""
        if self.spread > NOISY_SPREAD:
            return Text(
                zh=f"20% 与 80% 分位相差中位数的 {self.spread:.0%}",
                en=f"the 20th and 80th percentiles are {self.spread:.0%} of the median apart",
            )
        # Enough samples show a change of speed themselves; of few ones only the processor's clock can tell.
        if self.repeats < 3 * _THIRD and abs(self.clock_drift) > NOISY_DRIFT:
            return Text(
                zh=f"计时前后处理器速度变了 {self.clock_drift:+.0%}",
                en=f"the processor's speed changed by {self.clock_drift:+.0%} meanwhile",
            )
        if abs(self.sample_drift) > NOISY_DRIFT:
            return Text(
                zh=f"后三分之一的样本比前三分之一{'慢' if self.sample_drift > 0 else '快'} "
                f"{abs(self.sample_drift):.0%}",
                en=f"the last third of the samples took {self.sample_drift:+.0%} against the first",
            )
        return None

    @property
    def noisy(self) -> bool:
        return self.noise is not None


def time_calls(
    call: Callable[[], object],
    device: str = "cpu",
    budget_s: float = 0.5,
    check: Callable[[], None] = lambda: None,
    *,
    cold: bool = False,
) -> Timing:
    """Time ``call`` for at most about ``budget_s`` after warming up; ``check`` runs between samples.

    With ``cold`` a sample is one call after emptying the last-level cache, which is not timed itself.
    """
    on_gpu = device.startswith("cuda")
    sample = _cuda_sample if on_gpu else _cpu_sample
    empty_caches = flusher(device) if cold else None
    rate = clock_rate()
    once_s = _warm_up(call, sample, budget_s, check)
    batch = 1 if cold else _batch(once_s)
    samples: list[float] = []
    start = time.perf_counter()
    while len(samples) < MAX_SAMPLES:
        check()
        if empty_caches:
            empty_caches()
        samples.append(sample(call, batch))
        if len(samples) == 1 and not cold and _batch(samples[0]) > 2 * batch:
            # Its first call was all the warm-up there was, and took long: it compiled something.
            batch = _batch(samples.pop())
            continue
        if _enough(samples, time.perf_counter() - start, budget_s):
            break
    drift = 0.0 if on_gpu else clock_rate() / rate - 1  # the processor's says nothing of a GPU's
    return _summary(samples, threads(), drift, cold)


def _batch(once_s: float) -> int:
    """Calls that a sample should have of one that takes so long."""
    return max(1, math.ceil(SAMPLE_S / max(once_s, 1e-9)))


def _warm_up(
    call: Callable[[], object],
    sample: Callable[[Callable[[], object], int], float],
    budget_s: float,
    check: Callable[[], None],
) -> float:
    """Seconds of the fastest call so far."""
    once_s, spent, calls = math.inf, 0.0, 0
    while calls < WARM_UP_CALLS or spent < min(WARM_UP_S, budget_s):
        check()
        last = sample(call, 1)
        once_s, spent, calls = min(once_s, last), spent + max(last, 1e-6), calls + 1
        if once_s > budget_s:
            break
    return once_s


def _enough(samples: list[float], spent: float, budget_s: float) -> bool:
    count = len(samples)
    if spent >= budget_s:
        return count >= MIN_SAMPLES or spent >= budget_s * PATIENCE
    # Looked at now and then only: sorting after each of a thousand samples would cost more than they do.
    if count < STEADY_SAMPLES or count % 10 or spent < STEADY_SHARE * budget_s:
        return False
    low, middle, high = _quantiles(samples)
    return high - low <= STEADY_SPREAD * middle


def _cpu_sample(call: Callable[[], object], batch: int) -> float:
    start = time.perf_counter()
    for _ in range(batch):
        call()
    return (time.perf_counter() - start) / batch


def _cuda_sample(call: Callable[[], object], batch: int) -> float:
    import torch

    begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    # Nothing waits here: while the device still empties its cache, the host launches ahead, unseen.
    begin.record()
    for _ in range(batch):
        call()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end)) * 1e-3 / batch


def _quantiles(samples: list[float]) -> tuple[float, float, float]:
    """20th percentile, median, 80th percentile."""
    if len(samples) == 1:
        return samples[0], samples[0], samples[0]
    low, _, _, high = statistics.quantiles(samples, n=5, method="inclusive")
    return low, statistics.median(samples), high


def _summary(samples: list[float], thread_count: int, clock_drift: float, cold: bool) -> Timing:
    low, middle, high = _quantiles(samples)
    return Timing(middle, low, high, len(samples), thread_count, clock_drift, _trend(samples), cold)


def _trend(samples: list[float]) -> float:
    """Median of the last third over that of the first, less one; 0 where there are too few."""
    third = len(samples) // 3
    if third < _THIRD:
        return 0.0
    first = statistics.median(samples[:third])
    return statistics.median(samples[-third:]) / first - 1 if first > 0 else 0.0
