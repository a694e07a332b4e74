"""What stood where after any event of a record, without playing it from its start."""

from __future__ import annotations

from typing import Any

import numpy as np

# Rows between two snapshots, unless told otherwise, and the most memory that snapshots may take.
STRIDE = 1024
MOST_BYTES = 64 * 2**20


class LastRows:
    """Rows say what becomes of a key at an event; asked for an event, the last row of each key by then.

    ``events`` ascends; ``keys`` are integers below ``count``. A snapshot every ``stride`` rows (more, where
    the keys are many) makes any seek as fast as the next one: a copy and one assignment of so many rows.
    """

    def __init__(self, events: Any, keys: Any, count: int, stride: int = STRIDE) -> None:
        self._events = np.asarray(events)
        self._keys = np.asarray(keys, dtype=np.intp)
        self._rows = np.arange(len(self._keys), dtype=np.int32)
        self._stride = max(stride, len(self._keys) * count * 4 // MOST_BYTES)
        state = np.full(count, -1, dtype=np.int32)
        self._snapshots = [state]
        for start in range(0, len(self._keys) - self._stride + 1, self._stride):
            state = self._played(state, start, start + self._stride)
            self._snapshots.append(state)

    def at(self, event: int | None) -> Any:
        """For each key the index of its last row at or before ``event`` (None: of all), -1 where there is
        none."""
        end = len(self._keys) if event is None else int(np.searchsorted(self._events, event, side="right"))
        snapshot = end // self._stride
        return self._played(self._snapshots[snapshot], snapshot * self._stride, end)

    def _played(self, state: Any, start: int, end: int) -> Any:
        state = state.copy()
        state[self._keys[start:end]] = self._rows[start:end]  # where a key recurs, numpy keeps the last
        return state
