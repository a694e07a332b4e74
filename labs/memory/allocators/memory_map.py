"""An arena seen through cells of equal size: who has most of each, and how much of it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.memory.allocators.stores import Store

NOBODY = -1


class CellRow(NamedTuple):
    """From ``event`` on ``cell`` belongs mostly to ``owner``, and ``filled`` bytes of it are needed."""

    event: int
    cell: int
    owner: int
    filled: int


@dataclass(slots=True)
class _Drawn:
    """Of an owner: ``places`` are in the map, and ``needed`` bytes, which end in the one numbered ``place``,
    that has ``before`` bytes in front of it."""

    places: int = 0
    needed: int = 0
    place: int = 0
    before: int = 0


class MemoryMap:
    """Only cells that change have a row. Where several owners share a cell the largest part gives the name,
    and ``filled`` counts all of them."""

    def __init__(self, capacity: int, cells: int) -> None:
        self.cell_bytes = -(-capacity // cells)
        self.cells = -(-capacity // self.cell_bytes)
        self.rows: list[CellRow] = []
        self._parts: list[dict[int, list[int]]] = [{} for _ in range(self.cells)]  # owner -> has, needs
        self._shown = [(NOBODY, 0)] * self.cells
        self._of: dict[int, set[int]] = {}  # the cells in which an owner has something
        self._drawn: dict[int, _Drawn] = {}

    def update(self, event: int, store: Store, owners: Iterable[int]) -> None:
        """These owners have come, moved or gone."""
        touched: set[int] = set()
        for owner in owners:
            for cell in self._of.pop(owner, ()):
                del self._parts[cell][owner]
                touched.add(cell)
            self._drawn[owner] = _Drawn()
            touched |= self._add(store, owner)
        self._show(event, touched)

    def grow(self, event: int, store: Store, owners: Iterable[int]) -> None:
        """These owners need more of what they have, or have more places behind the others."""
        touched: set[int] = set()
        for owner in owners:
            touched |= self._add(store, owner)
        self._show(event, touched)

    def _add(self, store: Store, owner: int) -> set[int]:
        """What is not drawn yet: the cells that change."""
        drawn, needed = self._drawn[owner], store.needed.get(owner, 0)
        places, cells = store.places.get(owner, []), set[int]()
        for index in range(drawn.place, len(places)):
            address, granted = places[index], store.allocator.granted[places[index]]
            if index >= drawn.places:
                self._count(cells, owner, address, granted, has=True)
                drawn.places += 1
            begin, end = drawn.needed - drawn.before, min(needed - drawn.before, granted)
            self._count(cells, owner, address + begin, end - begin, has=False)
            drawn.needed += max(0, end - begin)
            if index + 1 < len(places):
                drawn.place, drawn.before = index + 1, drawn.before + granted
        return cells

    def _count(self, cells: set[int], owner: int, address: int, size: int, *, has: bool) -> None:
        if size <= 0:
            return
        for cell in range(address // self.cell_bytes, (address + size - 1) // self.cell_bytes + 1):
            part = self._parts[cell].setdefault(owner, [0, 0])
            part[not has] += self._overlap(cell, address, size)
            cells.add(cell)
        self._of.setdefault(owner, set()).update(cells)

    def _overlap(self, cell: int, address: int, size: int) -> int:
        begin = cell * self.cell_bytes
        return max(0, min(begin + self.cell_bytes, address + size) - max(begin, address))

    def _show(self, event: int, cells: Iterable[int]) -> None:
        for cell in sorted(cells):
            parts, state = self._parts[cell], (NOBODY, 0)
            if parts:
                owner = max(parts, key=lambda one: (parts[one][0], -one))
                state = owner, sum(needs for _, needs in parts.values())
            if state != self._shown[cell]:
                self._shown[cell] = state
                self.rows.append(CellRow(event, cell, *state))
