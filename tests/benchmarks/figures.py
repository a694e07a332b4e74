"""What a benchmark reports: figures with a budget, and the arithmetic behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 100) per cent lie, interpolated between the two nearest ranks."""
    if not values or not 0 <= share <= 100:
        raise ValueError(f"percentile {share} of {len(values)} values")
    ordered = sorted(values)
    rank = (len(ordered) - 1) * share / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def spread(values: Sequence[float], unit: str) -> str:
    """``median 12.3, 20-80 % 11.9-13.0, worst 20.1 ms (n 18)``, for the remark of a figure."""
    low, high = percentile(values, 20), percentile(values, 80)
    worst = f"worst {short(max(values))} {unit}"
    return f"median {short(median(values))}, 20-80 % {short(low)}-{short(high)}, {worst} (n {len(values)})"


def short(value: float) -> str:
    """Three significant digits, without an exponent below a million."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}"


@dataclass(frozen=True)
class Figure:
    """One line of the report. ``budget`` is the most that is allowed; None: reported without a limit.

    ``samples`` are kept in the stored report, so that another percentile can be taken of them later.
    """

    name: str
    what: str
    value: float
    unit: str
    budget: float | None = None
    remark: str = ""
    samples: tuple[float, ...] = ()

    @property
    def over(self) -> bool:
        """NaN, the figure of a measurement that failed to measure, is over every budget."""
        return self.budget is not None and not self.value <= self.budget

    @property
    def mark(self) -> str:
        if self.budget is None:
            return ""
        return "OVER" if self.over else "pass"


def p95(
    name: str,
    what: str,
    samples_ms: Sequence[float],
    budget_ms: float | None,
    cpu_ms: Sequence[float] = (),
) -> Figure:
    """The 95th percentile of durations in ms; the remark has their spread, and that of the processor time."""
    value = percentile(samples_ms, 95)
    remark = spread(samples_ms, "ms")
    if cpu_ms:
        remark += f"; processor time: median {short(median(cpu_ms))}, p95 {short(percentile(cpu_ms, 95))} ms"
    return Figure(name, what, value, "ms", budget_ms, remark, tuple(samples_ms))
