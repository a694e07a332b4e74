"""The binary buddy system: blocks of powers of two that split in halves and merge with their twin.

Knowlton, CACM 8(10), 1965; Knuth, TAOCP 1, section 2.5. The twin of a block is found by flipping one bit of
its address, so that freeing needs no search.
"""

from __future__ import annotations

from heapq import heappop, heappush

from labs.formulas.allocation import buddy_size
from labs.memory.allocators.allocator import Allocator


class Buddy(Allocator):
    """``capacity`` and ``least``, the smallest block, are powers of two; the lowest fitting block is "
    "split."""

    def __init__(self, capacity: int, least: int = 512) -> None:
        super().__init__(capacity)
        if capacity & (capacity - 1) or least & (least - 1) or not 1 <= least <= capacity:
            raise ValueError(f"blocks of {least} in {capacity} bytes: both must be powers of two")
        self.least = least
        self.splits = self.merges = 0
        # Of each size the addresses of free blocks, and the same as a heap, which may hold gone ones too.
        self._free: dict[int, set[int]] = {}
        self._heaps: dict[int, list[int]] = {}
        size = least
        while size <= capacity:
            self._free[size], self._heaps[size] = set(), []
            size *= 2
        self._add(0, capacity)

    def free_blocks(self) -> dict[int, list[int]]:
        """Addresses by size, ascending."""
        return {size: sorted(blocks) for size, blocks in self._free.items() if blocks}

    def largest_free(self) -> int:
        return max((size for size, blocks in self._free.items() if blocks), default=0)

    def _take(self, size: int) -> tuple[int, int] | None:
        wanted = found = buddy_size(size, self.least)
        while found <= self.capacity and not self._free[found]:
            found *= 2
        if found > self.capacity:
            return None
        address = self._pop(found)
        while found > wanted:  # the upper half of each split stays free
            found //= 2
            self._add(address + found, found)
            self.splits += 1
        return address, wanted

    def _give(self, address: int, granted: int) -> None:
        size = granted
        while size < self.capacity and (twin := address ^ size) in self._free[size]:
            self._free[size].remove(twin)
            address, size = min(address, twin), 2 * size
            self.merges += 1
        self._add(address, size)

    def _add(self, address: int, size: int) -> None:
        self._free[size].add(address)
        heappush(self._heaps[size], address)

    def _pop(self, size: int) -> int:
        free, heap = self._free[size], self._heaps[size]
        while (address := heappop(heap)) not in free:
            pass
        free.remove(address)
        return address
