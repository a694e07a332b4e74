"""Size classes in slabs: a slab is cut into objects of one size, so any free object of the class will do.

Bonwick, The Slab Allocator (USENIX Summer 1994); the classes are spaced as jemalloc's, four to a doubling.
"""

from __future__ import annotations

from labs.formulas.allocation import round_up, size_class
from labs.memory.allocators.allocator import Allocator
from labs.memory.allocators.free_runs import FreeRuns


class Slab(Allocator):
    """Sizes up to ``slab_bytes`` come from slabs; larger classes take whole slabs that lie side by side.

    An empty slab goes back at once, to be used by any class.
    """

    def __init__(self, capacity: int, slab_bytes: int, least: int = 512) -> None:
        super().__init__(capacity // slab_bytes * slab_bytes)
        self.slab_bytes, self.least = slab_bytes, least
        self.runs = FreeRuns(self.capacity)
        self._slabs: dict[int, int] = {}  # start -> size of its objects
        self._vacant: dict[int, list[int]] = {}  # start -> objects given back
        self._fresh: dict[int, int] = {}  # start -> objects never handed out, all at its end
        self._live: dict[int, int] = {}  # start -> objects in use
        self._partial: dict[int, dict[int, None]] = {}  # class -> its slabs that have a free object
        self._held = 0

    @property
    def held(self) -> int:
        return self._held

    def largest_free(self) -> int:
        whole = self.runs.largest()
        return whole or max((size for size, slabs in self._partial.items() if slabs), default=0)

    def _take(self, size: int) -> tuple[int, int] | None:
        each = size_class(size, self.least)
        if each > self.slab_bytes:
            return self._take_run(round_up(each, self.slab_bytes))
        partial = self._partial.setdefault(each, {})
        if not partial and not self._open(each):
            return None
        slab = next(iter(partial))
        self._live[slab] += 1
        if self._vacant[slab]:
            address = self._vacant[slab].pop()
        else:
            address = slab + (self.slab_bytes // each - self._fresh[slab]) * each
            self._fresh[slab] -= 1
        if not self._vacant[slab] and not self._fresh[slab]:
            del partial[slab]
        return address, each

    def _take_run(self, size: int) -> tuple[int, int] | None:
        start = self.runs.first_fit(size)
        if start is None:
            return None
        self.runs.take(start, size)
        self._held += size
        return start, size

    def _open(self, each: int) -> bool:
        place = self._take_run(self.slab_bytes)
        if place is None:
            return False
        start = place[0]
        self._slabs[start], self._vacant[start] = each, []
        self._fresh[start], self._live[start] = self.slab_bytes // each, 0
        self._partial[each][start] = None
        return True

    def _give(self, address: int, granted: int) -> None:
        slab = address // self.slab_bytes * self.slab_bytes
        if slab not in self._slabs:
            self._close(address, granted)
            return
        self._vacant[slab].append(address)
        self._partial[granted][slab] = None
        self._live[slab] -= 1
        if not self._live[slab]:
            del self._slabs[slab], self._vacant[slab], self._fresh[slab], self._live[slab]
            del self._partial[granted][slab]
            self._close(slab, self.slab_bytes)

    def _close(self, start: int, size: int) -> None:
        self.runs.give(start, size)
        self._held -= size
