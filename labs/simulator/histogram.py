"""A distribution in constant memory: an exact mean and extremes, percentiles within a stated error."""

from __future__ import annotations

from collections import defaultdict

# Of a value's leading bits, so many tell its bin: 64 bins an octave.
_BITS = 7
# A percentile is the middle of a bin that is at most 1/64 of its values wide.
RELATIVE_ERROR = 2.0**-(_BITS)


class Histogram:
    """Non-negative integers. The bins are those of HdrHistogram: linear within a power of two."""

    def __init__(self) -> None:
        self.total = 0
        self.most = 0
        self._bins: defaultdict[int, int] = defaultdict(int)

    def add(self, value: int, weight: int = 1) -> None:
        self.total += value * weight
        if value > self.most:
            self.most = value
        shift = value.bit_length() - _BITS  # bin_of, written out: this is called a million times
        where = value if shift <= 0 else (shift << _BITS) + (value >> shift)
        self._bins[where] += weight

    def add_ramp(self, first: int, step: int, count: int, weight: int) -> None:
        """``first``, ``first + step`` and so on, ``count`` of them, each ``weight`` times, as by ``add``."""
        last = first + step * (count - 1)
        self.total += (first + last) * count // 2 * weight
        if last > self.most:
            self.most = last
        self._spread(first, step, count, weight)

    def _spread(self, first: int, step: int, count: int, weight: int) -> None:
        where = bin_of(first)
        if where == bin_of(first + step * (count - 1)):
            self._bins[where] += count * weight
            return
        half = count // 2
        self._spread(first, step, half, weight)
        self._spread(first + step * half, step, count - half, weight)

    def merge(self, other: Histogram) -> None:
        self.total += other.total
        self.most = max(self.most, other.most)
        for where, weight in other._bins.items():
            self._bins[where] += weight

    @property
    def count(self) -> int:
        return sum(self._bins.values())

    @property
    def mean(self) -> float:
        """Exact; NaN of nothing."""
        return self.total / self.count if self._bins else float("nan")

    def percentile(self, percent: float) -> float:
        """The value below which ``percent`` of them lie, within ``RELATIVE_ERROR``; NaN of nothing."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile {percent}")
        left = percent / 100 * self.count
        for where in sorted(self._bins):
            left -= self._bins[where]
            if left <= 0:
                return min(_middle(where), float(self.most))
        return float("nan")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


def bin_of(value: int) -> int:
    """Rises with the value; values of at most ``_BITS`` bits have bins of their own."""
    shift = value.bit_length() - _BITS
    if shift <= 0:
        return value
    return (shift << _BITS) + (value >> shift)


def _middle(where: int) -> float:
    shift, top = where >> _BITS, where & ((1 << _BITS) - 1)
    return float(top) if not shift else (top + 0.5) * (1 << shift)
