"""Two threads, one word of shared memory, one of them writes, and nothing between that orders them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from labs.gpu.language import WARP

if TYPE_CHECKING:
    from labs.gpu.recording import Recording, Step

# What orders the two: a barrier of the block, or (lanes of one warp) syncwarp(), which lockstep only seems to
# make superfluous: since Volta lanes of a warp may run apart (CUDA C++ Programming Guide, Independent Thread
# Scheduling).
Missing = Literal["syncthreads", "syncwarp"]


@dataclass(frozen=True)
class Race:
    """The first pair that was found between two lines; threads are numbered within the block."""

    array: str
    element: int
    block: int
    lines: tuple[int, int]
    threads: tuple[int, int]
    actions: tuple[str, str]
    missing: Missing


def races(recording: Recording) -> list[Race]:
    """At most one race for each array, pair of lines and missing barrier."""
    shared = {array.name for array in recording.program.of_space("shared")}
    touched: dict[tuple[int, str, int], list[Step]] = defaultdict(list)
    for step in recording.steps:
        if step.array in shared:
            touched[step.block, step.array, step.epoch].append(step)
    found: dict[tuple[str, tuple[int, int], Missing], Race] = {}
    for (block, array, _), steps in touched.items():
        for race in _between_barriers(block, array, steps):
            found.setdefault((array, race.lines, race.missing), race)
    return list(found.values())


def _between_barriers(block: int, array: str, steps: list[Step]) -> list[Race]:
    """Steps of one block on one array with no barrier among them. One pass a pair of lines is enough."""
    by_line: dict[tuple[int, str], list[Step]] = defaultdict(list)
    for step in steps:
        by_line[step.line, step.action].append(step)
    groups = list(by_line.items())
    found = []
    for place, ((_, action), first) in enumerate(groups):
        for (_, other), second in groups[place:]:
            if {"write"} & {action, other} or {action, other} == {"read", "atomic"}:
                found += [race for race in (_clash(block, array, first, second),) if race]
    return found


def _clash(block: int, array: str, first: list[Step], second: list[Step]) -> Race | None:
    """A word that different threads touch in the two groups of steps, unordered."""
    element, thread, epoch, _ = _flat(first)
    other_element, other_thread, other_epoch, _ = _flat(second)
    order = np.argsort(other_element, kind="stable")
    low = np.searchsorted(other_element[order], element, "left")
    high = np.searchsorted(other_element[order], element, "right")
    for place in np.flatnonzero(high > low):
        for match in order[low[place] : high[place]]:
            missing = _missing(
                int(thread[place]), int(epoch[place]), int(other_thread[match]), int(other_epoch[match])
            )
            if missing and (first is not second or thread[place] != other_thread[match]):
                return Race(
                    array,
                    int(element[place]),
                    block,
                    (first[0].line, second[0].line),
                    (int(thread[place]), int(other_thread[match])),
                    (first[0].action, second[0].action),
                    missing,
                )
    return None


def _missing(thread: int, epoch: int, other: int, other_epoch: int) -> Missing | None:
    if thread == other:
        return None
    if thread // WARP != other // WARP:
        return "syncthreads"
    return "syncwarp" if epoch == other_epoch else None


def _flat(steps: list[Step]) -> tuple[np.ndarray, ...]:
    """Of every lane that touches: element, thread, barriers of its warp, place of the step."""
    columns = []
    for place, step in enumerate(steps):
        assert step.elements is not None, "not a memory access"
        lanes = np.flatnonzero(step.active)
        numbers = np.stack(
            [
                step.elements[lanes],
                step.warp * WARP + lanes,
                np.full(len(lanes), step.warp_epoch),
                np.full(len(lanes), place),
            ]
        )
        columns.append(numbers)
    return tuple(np.concatenate(columns, axis=1))
