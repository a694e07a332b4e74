"""How an owner's growing memory is put into an allocator: one piece that must be long enough, or pages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from labs.memory.allocators.allocator import Allocator
    from labs.memory.allocators.paged import Pages

Growth = Literal["reserve", "copy"]


class Store(ABC):
    """``places`` are the addresses that each owner has, ``needed`` the bytes that it needs of them.

    ``copied`` bytes had to be moved in all. ``calls`` records what the allocator was asked: a size to
    allocate, or minus one and the number of the allocation that is freed.
    """

    def __init__(self, allocator: Allocator) -> None:
        self.allocator = allocator
        self.places: dict[int, list[int]] = {}
        self.needed: dict[int, int] = {}
        self.stored = self.copied = 0
        self.calls: list[tuple[int, int]] = []
        self._numbers: dict[int, int] = {}  # by address, of the allocation that is there
        self._made = 0

    def resize(self, owner: int, size: int, limit: int) -> bool:
        """``owner`` needs ``size`` bytes from now on. False: there is no room, and it has what it had."""
        if not self._fit(owner, size, limit):
            return False
        self.stored += size - self.needed.get(owner, 0)
        self.needed[owner] = size
        return True

    def release(self, owner: int) -> None:
        """All of it is given back; nothing happens where it has none."""
        for address in self.places.pop(owner, []):
            self._free(address)
        self.stored -= self.needed.pop(owner, 0)

    @property
    def most_wanted(self) -> int:
        """Bytes that a new owner could get now."""
        return self.allocator.largest_free()

    def room(self, owner: int) -> int:
        return sum(self.allocator.granted[address] for address in self.places.get(owner, []))

    @abstractmethod
    def _fit(self, owner: int, size: int, limit: int) -> bool: ...

    def _allocate(self, size: int) -> int | None:
        address = self.allocator.allocate(size)
        self.calls.append((size, 0))
        if address is not None:
            self._numbers[address] = self._made
        self._made += 1
        return address

    def _free(self, address: int) -> None:
        self.calls.append((-1, self._numbers.pop(address)))
        self.allocator.free(address)


class OnePiece(Store):
    """Contiguous. ``reserve``: the limit from the start. ``copy``: what is needed, and when that is full
    twice as much elsewhere, to which the contents are copied; for that time both must fit."""

    def __init__(self, allocator: Allocator, growth: Growth) -> None:
        super().__init__(allocator)
        self.growth = growth

    def _fit(self, owner: int, size: int, limit: int) -> bool:
        room = self.room(owner)
        if size <= room:
            return True
        wanted = limit if self.growth == "reserve" else min(max(size, 2 * room), max(limit, size))
        address = self._allocate(wanted)
        if address is None:
            return False
        if room:
            self.copied += self.needed[owner]
            self._free(self.places[owner][0])
        self.places[owner] = [address]
        return True


class Paged(Store):
    """A table of pages: another one when the last is full, wherever it lies. Nothing is ever copied."""

    def __init__(self, allocator: Pages) -> None:
        super().__init__(allocator)
        self.page_bytes = allocator.page_bytes

    @property
    def most_wanted(self) -> int:
        return self.allocator.capacity - self.allocator.used

    def _fit(self, owner: int, size: int, limit: int) -> bool:
        table = self.places.setdefault(owner, [])
        missing = -(-size // self.page_bytes) - len(table)
        if missing * self.page_bytes > self.most_wanted:
            return False
        for _ in range(missing):
            page = self._allocate(self.page_bytes)
            assert page is not None, "the free pages were counted"
            table.append(page)
        return True
