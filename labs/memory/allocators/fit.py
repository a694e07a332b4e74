"""First fit and best fit: one free list in order of address, blocks cut to measure (Knuth, TAOCP 1, 2.5)."""

from __future__ import annotations

from typing import Literal

from labs.formulas.allocation import round_up
from labs.memory.allocators.allocator import Allocator
from labs.memory.allocators.free_runs import FreeRuns


class Fit(Allocator):
    """Sizes are rounded to ``alignment`` only, so that all addresses are multiples of it.

    Both ways search the whole list in the worst case. A production allocator keeps best fit's runs in a tree.
    """

    def __init__(self, capacity: int, way: Literal["first", "best"] = "first", alignment: int = 1) -> None:
        super().__init__(capacity)
        self.alignment = alignment
        self.runs = FreeRuns(capacity // alignment * alignment)
        self._find = self.runs.first_fit if way == "first" else self.runs.best_fit

    def largest_free(self) -> int:
        return self.runs.largest()

    def _take(self, size: int) -> tuple[int, int] | None:
        rounded = round_up(size, self.alignment)
        start = self._find(rounded)
        if start is None:
            return None
        self.runs.take(start, rounded)
        return start, rounded

    def _give(self, address: int, granted: int) -> None:
        self.runs.give(address, granted)
