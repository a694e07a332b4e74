"""Pages: every block has the same size, so any free one will do and nothing can be fragmented outside."""

from __future__ import annotations

from labs.memory.allocators.allocator import Allocator


class Pages(Allocator):
    """Hands out one page a call, the last one freed first. What is larger is split by the caller's table."""

    def __init__(self, capacity: int, page_bytes: int) -> None:
        super().__init__(capacity // page_bytes * page_bytes)
        self.page_bytes = page_bytes
        self._free = list(range(self.capacity - page_bytes, -1, -page_bytes))

    def largest_free(self) -> int:
        return self.page_bytes if self._free else 0

    def _take(self, size: int) -> tuple[int, int] | None:
        if size > self.page_bytes:
            raise ValueError(f"{size} bytes do not fit a page of {self.page_bytes}")
        return (self._free.pop(), self.page_bytes) if self._free else None

    def _give(self, address: int, granted: int) -> None:
        self._free.append(address)
