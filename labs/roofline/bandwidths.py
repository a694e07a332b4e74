"""Bandwidth against the size of what is streamed: a step down at the end of each cache; the levels' rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.caches import Cache, cpu_caches, last_level_cache_bytes
from labs.roofline.streams import ARRAYS, Streams
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from labs.context import Context
    from labs.measure import Timing
    from labs.roofline.streams import Kind

_SMALLEST: Final = 8 * 2**10
_SMALLEST_GPU: Final = 2**20  # below this a kernel's launch is all that one would measure
_BEYOND: Final = 4  # last-level caches that the largest size fills
_ROUNDS: Final = 2
_BUDGET_S: Final = 0.012  # in each round
QUICK_S: Final = 0.004
_SPARE: Final = 0.6  # of a cache that a working set may fill and still be all in it


@dataclass(frozen=True)
class Streamed:
    """One size in one way by so many threads. ``rate``: bytes/s of the fastest fifth, to be a roof."""

    kind: Kind
    threads: int
    working_bytes: int
    moved_bytes: int
    timing: Timing

    @property
    def point(self) -> tuple[str, int, int]:
        return self.kind, self.threads, self.working_bytes

    @property
    def rate(self) -> float:
        return self.moved_bytes / self.timing.low_s


@dataclass(frozen=True)
class Level:
    """A level of the memory hierarchy as its threads see it together: the last one's ``capacity`` is 0."""

    name: str
    capacity: int
    bandwidth: float
    threads: int


def capacities(threads: int, device: str) -> list[tuple[str, int]]:
    """Name and bytes of each cache, over all copies of it that so many threads have."""
    if device.startswith("cuda"):
        return [("L2", last_level_cache_bytes(device))]
    return [(f"L{cache.level}", _capacity(cache, threads)) for cache in cpu_caches()]


def working_sets(device: str, threads: int, quick: bool = False) -> list[int]:
    """Bytes, in powers of two, from within the first cache to beyond the last; ``quick``: one a level."""
    if quick:
        inside = [size // 2 for _, size in capacities(threads, device)]
        return [*inside, 2 * last_level_cache_bytes(device)]
    size = _SMALLEST_GPU if device.startswith("cuda") else _SMALLEST
    sizes = [size]
    while sizes[-1] < _BEYOND * last_level_cache_bytes(device):
        sizes.append(2 * sizes[-1])
    return sizes


def sweep(
    ctx: Context, wanted: Sequence[tuple[Kind, int]], sizes: Sequence[int], quick: bool = False
) -> Iterator[Streamed]:
    """All ``sizes`` for each kind and number of threads, small ones first, and once more unless ``quick``."""
    largest = max(sizes)
    ctx.reserve(
        3 * largest, Text(zh="带宽测试的三个数组", en="the three arrays that bandwidth is measured on")
    )
    streams, budget_s = Streams(largest, ctx.device), QUICK_S if quick else _BUDGET_S
    for _ in range(1 if quick else _ROUNDS):
        for size in sizes:
            for kind, threads in wanted:
                if size // ARRAYS[kind] >= 512 * max(1, threads):
                    call, moved = streams.call(kind, size, max(1, threads))
                    yield Streamed(kind, threads, size, moved, ctx.measure(call, budget_s=budget_s))


def keep_faster(found: list[Streamed], new: Streamed) -> None:
    """Take ``new`` into ``found`` unless the same was faster before: a neighbour's burst is no roof."""
    same = [index for index, one in enumerate(found) if one.point == new.point]
    if not same:
        found.append(new)
    elif new.rate > found[same[0]].rate:
        found[same[0]] = new


def levels(found: Sequence[Streamed], kind: Kind, threads: int, device: str) -> list[Level]:
    """Each level's rate: the best among sizes that fit it and not the one before; memory's, of the largest.

    A level between whose borders no size lies is left out.
    """
    points = [one for one in found if one.kind == kind and one.threads == threads]
    known, before, result = capacities(threads, device), 0, []
    for name, capacity in known:
        inside = [one.rate for one in points if before < one.working_bytes <= _SPARE * capacity]
        if inside:
            result.append(Level(name, capacity, max(inside), threads))
        before = capacity
    outside = [one.rate for one in points if one.working_bytes >= 2 * before]
    if outside:
        memory = "VRAM" if device.startswith("cuda") else "DRAM"
        result.append(Level(memory, 0, max(outside), threads))
    return result


def _capacity(cache: Cache, threads: int) -> int:
    """Threads run on cores of their own; a cache that several share counts once for so many."""
    return cache.size_bytes * -(-threads // cache.cores)
