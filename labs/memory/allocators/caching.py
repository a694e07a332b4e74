"""A caching allocator as PyTorch has one for CUDA: blocks of large segments, kept when they are freed.

Segments come from the device, which is slow and may have to wait for it; a freed block stays and serves the
next request of its size. Sizes, pools and the rule when to split are those of c10/cuda/CUDACachingAllocator;
streams, garbage collection and expandable segments are left out.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.allocation import LARGE_SPLIT, LEAST_BLOCK, SMALL_MOST, caching_rounded, caching_segment
from labs.memory.allocators.allocator import Allocator
from labs.memory.allocators.free_runs import FreeRuns

if TYPE_CHECKING:
    from typing import Self


@dataclass(slots=True, eq=False)
class _Block:
    """Part of a segment; ``before`` and ``after`` lie beside it in the same one."""

    start: int
    size: int
    small: bool
    free: bool = True
    before: Self | None = None
    after: Self | None = None


class Caching(Allocator):
    """``device_allocations`` and ``device_frees`` count what a GPU would do as cudaMalloc and cudaFree."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.device = FreeRuns(capacity)
        self.device_allocations = self.device_frees = 0
        self._blocks: dict[int, _Block] = {}  # by start, free or not
        self._pools: dict[bool, list[tuple[int, int]]] = {True: [], False: []}  # free ones: (size, start)
        self._held = 0

    @property
    def held(self) -> int:
        """Reserved bytes: all segments."""
        return self._held

    def largest_free(self) -> int:
        """Of a cached block, or of a new segment that the device could give without anything released."""
        cached = max((pool[-1][0] for pool in self._pools.values() if pool), default=0)
        return max(cached, self.device.largest())

    def release_cached(self) -> int:
        """Give segments that are free as a whole back to the device (``empty_cache``); their bytes."""
        whole = [
            block
            for pool in self._pools.values()
            for _, start in pool
            if (block := self._blocks[start]).before is None and block.after is None
        ]
        for block in whole:
            self._unlist(block)
            del self._blocks[block.start]
            self.device.give(block.start, block.size)
            self._held -= block.size
        self.device_frees += len(whole)
        return sum(block.size for block in whole)

    def _take(self, size: int) -> tuple[int, int] | None:
        wanted = caching_rounded(size)
        block = self._cached(wanted) or self._segment(wanted)
        if block is None and self.release_cached():
            block = self._segment(wanted)
        if block is None:
            return None
        self._unlist(block)
        block.free = False
        rest = block.size - wanted
        if rest >= LEAST_BLOCK if block.small else rest > LARGE_SPLIT:
            self._split(block, wanted)
        return block.start, block.size

    def _cached(self, wanted: int) -> _Block | None:
        """Best fit: the smallest free block that is large enough, the lowest of equals."""
        pool = self._pools[wanted <= SMALL_MOST]
        place = bisect_left(pool, (wanted, 0))
        return self._blocks[pool[place][1]] if place < len(pool) else None

    def _segment(self, wanted: int) -> _Block | None:
        size = caching_segment(wanted)
        start = self.device.first_fit(size)
        if start is None:
            return None
        self.device.take(start, size)
        self.device_allocations += 1
        self._held += size
        return self._list(_Block(start, size, wanted <= SMALL_MOST))

    def _split(self, block: _Block, wanted: int) -> None:
        rest = _Block(block.start + wanted, block.size - wanted, block.small, before=block, after=block.after)
        if block.after is not None:
            block.after.before = rest
        block.size, block.after = wanted, rest
        self._list(rest)

    def _give(self, address: int, granted: int) -> None:
        block = self._blocks[address]
        block.free = True
        if block.after is not None and block.after.free:
            self._unlist(block.after)
            self._merge(block, block.after)
        if block.before is not None and block.before.free:
            before = block.before
            self._unlist(before)
            self._merge(before, block)
            block = before
        self._list(block)

    def _merge(self, block: _Block, after: _Block) -> None:
        block.size += after.size
        block.after = after.after
        if block.after is not None:
            block.after.before = block
        del self._blocks[after.start]

    def _list(self, block: _Block) -> _Block:
        self._blocks[block.start] = block
        insort(self._pools[block.small], (block.size, block.start))
        return block

    def _unlist(self, block: _Block) -> None:
        pool = self._pools[block.small]
        del pool[bisect_left(pool, (block.size, block.start))]
