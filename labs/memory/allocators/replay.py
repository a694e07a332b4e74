"""One allocator under a trace of requests: what it held and wasted at each time, and whom it failed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from labs.formulas.allocation import external_fragmentation
from labs.memory.allocators.memory_map import MemoryMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labs.memory.allocators.allocator import Allocator
    from labs.memory.allocators.requests import Request
    from labs.memory.allocators.stores import Store


class Moment(NamedTuple):
    """Bytes after all requests of ``time_s``, and the number of events until then. ``stored`` are needed,
    ``used`` set aside for owners, ``held`` not to be had by others, ``largest`` could be had at once."""

    time_s: float
    event: int
    stored: int
    used: int
    held: int
    free: int
    largest: int

    @property
    def internal(self) -> float:
        """Share of the bytes set aside that nobody needs."""
        return 1 - self.stored / self.used if self.used else 0.0

    @property
    def external(self) -> float:
        return external_fragmentation(self.largest, self.free)


class Happening(NamedTuple):
    """``kind``: start, copy, end, fail, or step (the others grew where they are)."""

    time_s: float
    kind: str
    owner: int
    size: int


@dataclass
class Replay:
    """The whole run. ``failed`` owners found no room, then or when they had to grow, and were given up."""

    store: Store
    map: MemoryMap
    moments: list[Moment] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    owners: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)

    @property
    def allocator(self) -> Allocator:
        return self.store.allocator

    @property
    def served(self) -> int:
        return len(self.owners) - len(self.failed)

    @property
    def most_held(self) -> int:
        return max(moment.held for moment in self.moments)

    @property
    def most_stored(self) -> int:
        return max(moment.stored for moment in self.moments)

    def mean(self, share: Callable[[Moment], float]) -> float:
        """Over time, of the moments at which something was stored."""
        total = weight = 0.0
        for one, after in itertools.pairwise(self.moments):
            if one.stored:
                weight += after.time_s - one.time_s
                total += share(one) * (after.time_s - one.time_s)
        return total / weight if weight else 0.0

    @property
    def internal(self) -> float:
        """Bytes set aside and not needed, over bytes set aside; both over time."""
        used = self.mean(lambda one: one.used)
        return 1 - self.mean(lambda one: one.stored) / used if used else 0.0

    @property
    def external(self) -> float:
        return self.mean(lambda one: one.external)

    def worst(self) -> Moment:
        """Where most free bytes could not be had at once, among the moments at which something failed if
        there are such; of equals, where most was stored."""
        failures = {one.time_s for one in self.happenings if one.kind == "fail"}
        among = [one for one in self.moments if one.time_s in failures] or self.moments
        return max(among, key=lambda one: (one.free - one.largest, one.stored))


def replay(
    requests: Sequence[Request], store: Store, cells: int, check: Callable[[], None] = lambda: None
) -> Replay:
    """Every request in order. ``cells`` 0: no map is drawn."""
    run = Replay(store, MemoryMap(store.allocator.capacity, max(1, cells)))
    for time_s, group in itertools.groupby(requests, key=lambda one: one.time_s):
        grown = [one.owner for one in group if _serve(run, one, bool(cells))]
        if grown:
            run.happenings.append(Happening(time_s, "step", -1, len(grown)))
            if cells:
                run.map.grow(len(run.happenings) - 1, store, grown)
        run.moments.append(_moment(run, time_s))
        if len(run.moments) % 64 == 0:
            check()
    return run


def _serve(run: Replay, request: Request, draw: bool) -> bool:
    """True where an owner merely grew within what it has, or by a page: nothing else happened."""
    store, owner = run.store, request.owner
    if owner in run.failed:
        return False
    run.owners.add(owner)
    new, copied = owner not in store.needed, store.copied
    if not request.size:
        kind = "end"
        store.release(owner)
    elif not store.resize(owner, request.size, request.limit):
        kind = "fail"
        run.failed.add(owner)
        store.release(owner)
    elif new or store.copied > copied:
        kind = "start" if new else "copy"
    else:
        return True
    size = request.size or 0
    run.happenings.append(Happening(request.time_s, kind, owner, size))
    if draw:
        run.map.update(len(run.happenings) - 1, store, [owner])
    return False


def _moment(run: Replay, time_s: float) -> Moment:
    store, allocator = run.store, run.store.allocator
    free = allocator.capacity - allocator.used
    largest = min(free, store.most_wanted)
    return Moment(time_s, len(run.happenings), store.stored, allocator.used, allocator.held, free, largest)


def seconds_a_call(store: Store, fresh: Allocator) -> float:
    """The calls of a replay once more, on a ``fresh`` allocator and nothing else: measured, the mean."""
    calls, addresses = store.calls, list[int | None]()
    allocate, free, put = fresh.allocate, fresh.free, addresses.append
    start = time.perf_counter()
    for size, number in calls:
        if size > 0:
            put(allocate(size))
        else:
            free(addresses[number])  # type: ignore[arg-type]  # only what was had is freed
    return (time.perf_counter() - start) / max(1, len(calls))
