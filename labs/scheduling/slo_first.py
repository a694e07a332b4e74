"""Deadlines first, but those that can no longer be kept last: an overloaded server that goes on by deadline
alone serves only requests that are late already, and keeps none (the domino effect of EDF)."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from labs.engine.policies import EarliestDeadlineFirst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from labs.engine.sequence import Sequence


class AttainableFirst(EarliestDeadlineFirst):
    """By deadline among those whose deadline is ahead; behind them, by deadline, those that missed theirs."""

    steady = False

    def __init__(self) -> None:
        super().__init__()
        self._late: list[tuple[Any, float, int, Sequence]] = []

    def __len__(self) -> int:
        return len(self._heap) + len(self._late)

    def __iter__(self) -> Iterator[Sequence]:
        return (entry[-1] for queue in (self._heap, self._late) for entry in queue)

    def peek(self, now: float) -> Sequence:
        return self._first(now)[0][-1]

    def pop(self, now: float) -> Sequence:
        return heapq.heappop(self._first(now))[-1]

    def take(self, wanted: Callable[[Sequence], bool], most: int) -> list[Sequence]:
        taken = super().take(wanted, most)
        heap, self._heap = self._heap, self._late
        taken += super().take(wanted, most - len(taken))
        self._late, self._heap = self._heap, heap
        return taken

    def _first(self, now: float) -> list[tuple[Any, float, int, Sequence]]:
        while self._heap and self._heap[0][-1].deadline_s <= now:
            heapq.heappush(self._late, heapq.heappop(self._heap))
        return self._heap or self._late
