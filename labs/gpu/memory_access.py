"""Counts what one request of a warp moves: sectors and lines of global memory, passes of shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import BANKS, LINE_BYTES, SECTOR_BYTES, WORD_BYTES, phases

if TYPE_CHECKING:
    from labs.results import Array


@dataclass(frozen=True)
class GlobalRequest:
    """``sectors`` and ``lines``: their numbers, distinct, ascending. ``asked``: distinct bytes wanted."""

    sectors: Array
    lines: Array
    asked: int

    @property
    def moved(self) -> int:
        return SECTOR_BYTES * len(self.sectors)

    @property
    def efficiency(self) -> float:
        return self.asked / self.moved if self.moved else 1.0


def global_request(addresses: Array, element_bytes: int) -> GlobalRequest:
    """``addresses`` in bytes, of the active lanes, each aligned to ``element_bytes``."""
    distinct = np.unique(addresses)
    return GlobalRequest(
        np.unique(distinct // SECTOR_BYTES), np.unique(distinct // LINE_BYTES), len(distinct) * element_bytes
    )


@dataclass(frozen=True)
class SharedRequest:
    """``cycle`` [lanes]: in which pass each lane is served, -1 where it is not active. ``passes`` in all;
    ``least`` as many as there would be without a conflict."""

    cycle: Array
    passes: int
    least: int

    @property
    def conflicts(self) -> int:
        return self.passes - self.least


def shared_request(addresses: Array, active: Array, element_bytes: int) -> SharedRequest:
    """``addresses`` [32] in bytes. Lanes are served in phases of 32, 16 or 8; in each, every bank gives one
    word a pass to all lanes that want it: as many passes as the most distinct words asked of one bank."""
    parts = phases(element_bytes)
    words = max(1, element_bytes // WORD_BYTES)
    cycle, passes, least = np.full(len(addresses), -1), 0, 0
    for lanes in np.array_split(np.arange(len(addresses)), parts):
        lanes = lanes[active[lanes]]
        if not len(lanes):
            continue
        first = addresses[lanes] // WORD_BYTES
        wanted = first[:, None] + np.arange(words)
        turns = _turns(wanted)
        cycle[lanes] = passes + turns.max(axis=1)
        passes += int(turns.max()) + 1
        least += 1
    return SharedRequest(cycle, passes, least)


def _turns(words: Array) -> Array:
    """For each word, in which pass its bank gives it: the banks' queues hold distinct words in the order in
    which lanes ask for them."""
    distinct, first, inverse = np.unique(words.ravel(), return_index=True, return_inverse=True)
    turn = np.zeros(len(distinct), dtype=np.int64)
    queued = np.zeros(BANKS, dtype=np.int64)
    for place in np.argsort(first, kind="stable"):
        bank = distinct[place] % BANKS
        turn[place] = queued[bank]
        queued[bank] += 1
    return turn[inverse].reshape(words.shape)
