"""The free parts of an address space as runs in order of address, merged where they touch."""

from __future__ import annotations

from bisect import bisect_left


class FreeRuns:
    """Starts as one run ``[0, capacity)``. Two runs never touch: what is given back coalesces at once."""

    def __init__(self, capacity: int) -> None:
        self._starts = [0]
        self._lengths = {0: capacity}

    def __len__(self) -> int:
        return len(self._starts)

    def largest(self) -> int:
        return max(self._lengths.values(), default=0)

    def first_fit(self, size: int) -> int | None:
        """The lowest run that is long enough, by its start."""
        lengths = self._lengths
        return next((start for start in self._starts if lengths[start] >= size), None)

    def best_fit(self, size: int) -> int | None:
        """The shortest run that is long enough, the lowest of equals."""
        fitting = ((length, start) for start, length in self._lengths.items() if length >= size)
        return min(fitting, default=(0, None))[1]

    def take(self, start: int, size: int) -> None:
        """The first ``size`` bytes of the run at ``start``; the rest stays a run."""
        place = bisect_left(self._starts, start)
        rest = self._lengths.pop(start) - size
        if rest:
            self._starts[place] = start + size
            self._lengths[start + size] = rest
        else:
            del self._starts[place]

    def give(self, start: int, size: int) -> None:
        """Back, and merged with the neighbours that it touches."""
        place = bisect_left(self._starts, start)
        if place < len(self._starts) and self._starts[place] == start + size:
            size += self._lengths.pop(self._starts.pop(place))
        if place and (before := self._starts[place - 1]) + self._lengths[before] == start:
            self._lengths[before] += size
        else:
            self._starts.insert(place, start)
            self._lengths[start] = size
