"""What each step of a recording moved, and the sums of a line, of a space and of the whole kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import SECTOR_BYTES
from labs.gpu.memory_access import global_request, shared_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.gpu.program import Space
    from labs.gpu.recording import Recording, Step
    from labs.results import Array

MEMORY = ("read", "write", "atomic")


@dataclass(frozen=True)
class Counts:
    """An entry a step, 0 where it does not apply: ``sectors``, ``lines``, ``asked`` bytes of global memory;
    ``passes`` and ``least`` of shared memory. Atomics on shared memory are not counted."""

    recording: Recording
    sectors: Array
    lines: Array
    asked: Array
    passes: Array
    least: Array

    @property
    def steps(self) -> list[Step]:
        return self.recording.steps

    @property
    def requests(self) -> Array:
        return (self.sectors > 0) | (self.passes > 0)

    def total(self, name: str, chosen: Callable[[Step], bool] = lambda _: True) -> int:
        values: Array = getattr(self, name)
        return int(sum(value for value, step in zip(values, self.steps, strict=True) if chosen(step)))

    @property
    def efficiency(self) -> float | None:
        """Wanted bytes over moved ones of global memory; None where it was not touched."""
        moved = SECTOR_BYTES * int(self.sectors.sum())
        return int(self.asked.sum()) / moved if moved else None

    @property
    def conflicts(self) -> int:
        return int((self.passes - self.least).sum())

    def space(self, step: Step) -> Space | None:
        return self.recording.program.arrays[step.array].space if step.array else None


def counted(recording: Recording, check: Callable[[], None] = lambda: None) -> Counts:
    """Go through all steps once."""
    size = len(recording.steps)
    sectors, lines, asked, passes, least = (np.zeros(size, dtype=np.int64) for _ in range(5))
    for place, step in enumerate(recording.steps):
        if step.elements is None:
            continue
        if place % 256 == 0:
            check()
        array = recording.program.arrays[step.array]
        addresses = array.base + step.elements * array.element_bytes
        if array.space == "global":
            moved = global_request(addresses[step.active], array.element_bytes)
            sectors[place], lines[place], asked[place] = len(moved.sectors), len(moved.lines), moved.asked
        elif step.action != "atomic":
            served = shared_request(addresses, step.active, array.element_bytes)
            passes[place], least[place] = served.passes, served.least
    return Counts(recording, sectors, lines, asked, passes, least)


def slots(counts: Counts) -> Array:
    """Issue slots that each step takes of its warp: one, or for each pass of shared memory, or for each
    128-byte line of global memory. A count, not a time: latencies are not in it."""
    return np.maximum(1, np.maximum(counts.passes, counts.lines))


@dataclass(frozen=True)
class Stay:
    """From slot ``start`` to ``end`` a warp of a block runs or, at a barrier, waits for the last one."""

    warp: int
    start: int
    end: int
    waits: bool


def barrier_times(counts: Counts, block: int = 0) -> list[Stay]:
    """Each warp goes through its slots as if it were alone, up to the barrier where all of the block meet."""
    taken = slots(counts)
    spent: dict[tuple[int, int], int] = {}  # (epoch, warp): slots
    for step, slot in zip(counts.steps, taken, strict=True):
        if step.block == block:
            spent[step.epoch, step.warp] = spent.get((step.epoch, step.warp), 0) + int(slot)
    stays, begin = [], 0
    for epoch in sorted({epoch for epoch, _ in spent}):
        here = {warp: slots for (other, warp), slots in spent.items() if other == epoch}
        end = begin + max(here.values())
        for warp, used in sorted(here.items()):
            stays.append(Stay(warp, begin, begin + used, waits=False))
            if begin + used < end:
                stays.append(Stay(warp, begin + used, end, waits=True))
        begin = end
    # After the last barrier nobody waits for anybody.
    last = max((stay.start for stay in stays if not stay.waits), default=0)
    return [stay for stay in stays if not (stay.waits and stay.start >= last)]
