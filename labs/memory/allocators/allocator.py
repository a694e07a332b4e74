"""The interface of all allocators: bytes of one arena are handed out by address and given back."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Allocator(ABC):
    """Hands out bytes of an arena ``[0, capacity)``. Nothing is ever moved: an address is a promise.

    ``granted`` maps each live address to the bytes set aside for it, which are at least those asked for;
    ``used`` is their sum.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"an arena of {capacity} bytes, expected at least 1")
        self.capacity = capacity
        self.granted: dict[int, int] = {}
        self.used = 0

    def allocate(self, size: int) -> int | None:
        """The address of ``size`` bytes that nobody else has; None, and nothing changed, without room."""
        if size < 1:
            raise ValueError(f"{size} bytes, expected at least 1")
        place = self._take(size)
        if place is None:
            return None
        address, granted = place
        self.granted[address] = granted
        self.used += granted
        return address

    def free(self, address: int) -> None:
        """Give back what ``allocate`` returned. ValueError where it is not live: freed twice, or never."""
        granted = self.granted.pop(address, None)
        if granted is None:
            raise ValueError(f"address {address} is not allocated")
        self.used -= granted
        self._give(address, granted)

    @property
    def held(self) -> int:
        """Bytes of the arena that no other use can have now: ``used``, and what is kept for reuse."""
        return self.used

    @abstractmethod
    def largest_free(self) -> int:
        """The most bytes that one request could get now."""

    @abstractmethod
    def _take(self, size: int) -> tuple[int, int] | None:
        """An address and the bytes set aside there."""

    @abstractmethod
    def _give(self, address: int, granted: int) -> None: ...
