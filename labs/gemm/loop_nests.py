"""The ladder's loop nests run small, step by step, with every access recorded and a cache behind it.

The cache is ideal: fully associative, the line least recently used goes first. Small matrices and a small
cache stand for large ones: what matters is which rows, columns and tiles fit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labs.formulas.gemm import Order

LINE_NUMBERS = 8  # numbers of a line
A, B, C = 0, 1, 2
Matrix = NDArray[np.float32]


class Access(NamedTuple):
    """Numbers ``[start, stop)`` of a row of a matrix."""

    matrix: int
    row: int
    start: int
    stop: int


class Step(NamedTuple):
    """One update of C: ``C[i, columns] += A[i, depth] B[depth, columns]``."""

    i: int
    columns: range
    depth: range


@dataclass
class Cache:
    """``capacity`` lines; ``misses`` of each matrix."""

    widths: tuple[int, int, int]
    capacity: int
    misses: list[int] = field(default_factory=lambda: [0, 0, 0])
    _lines: OrderedDict[tuple[int, int], None] = field(default_factory=OrderedDict)

    def touch(self, access: Access) -> list[Access]:
        """The parts of it that were not there."""
        base, missed = access.row * self.widths[access.matrix], []
        first, last = (base + access.start) // LINE_NUMBERS, (base + access.stop - 1) // LINE_NUMBERS
        for line in range(first, last + 1):
            key = (access.matrix, line)
            if key in self._lines:
                self._lines.move_to_end(key)
                continue
            self._lines[key] = None
            if len(self._lines) > self.capacity:
                self._lines.popitem(last=False)
            self.misses[access.matrix] += 1
            begin, end = line * LINE_NUMBERS - base, (line + 1) * LINE_NUMBERS - base
            missed.append(access._replace(start=max(access.start, begin), stop=min(access.stop, end)))
        return missed


@dataclass(frozen=True)
class Recorded:
    """``touched`` and ``missed`` by step; ``lines``: misses of each matrix so far; C as computed."""

    order: Order
    steps: list[Step]
    touched: list[list[Access]]
    missed: list[list[Access]]
    lines: NDArray[np.int64]  # [steps, 3]
    product: Matrix


def steps(order: Order, m: int, n: int, k: int, tile: int) -> Iterator[Step]:
    """The loops of the ladder's rungs 0, 1 and 3, the innermost one folded into a step."""
    if order == "ijk":
        yield from (Step(i, range(j, j + 1), range(k)) for i in range(m) for j in range(n))
    elif order == "ikj":
        yield from (Step(i, range(n), range(one, one + 1)) for i in range(m) for one in range(k))
    else:
        for j in range(0, n, tile):
            for one in range(0, k, tile):
                for i in range(m):
                    yield Step(i, range(j, min(j + tile, n)), range(one, min(one + tile, k)))


def record(order: Order, a: Matrix, b: Matrix, tile: int, cache_lines: int) -> Recorded:
    """Run a nest on real numbers."""
    (m, k), n = a.shape, b.shape[1]
    cache, c = Cache((k, n, n), cache_lines), np.zeros((m, n), np.float32)
    done, touched, missed, lines = [], [], [], []
    for step in steps(order, m, n, k, tile):
        columns = slice(step.columns.start, step.columns.stop)
        depth = slice(step.depth.start, step.depth.stop)
        c[step.i, columns] += a[step.i, depth] @ b[depth, columns]
        done.append(step)
        touched.append(_touched(step))
        missed.append([part for access in _accesses(order, step) for part in cache.touch(access)])
        lines.append(list(cache.misses))
    return Recorded(order, done, touched, missed, np.array(lines), c)


def _accesses(order: Order, step: Step) -> Iterator[Access]:
    """In the order in which the loop makes them. ``ijk`` keeps its sum in a register."""
    columns = (step.columns.start, step.columns.stop)
    for one in step.depth:
        yield Access(A, step.i, one, one + 1)
        yield Access(B, one, *columns)
        if order != "ijk":
            yield Access(C, step.i, *columns)
    if order == "ijk":
        yield Access(C, step.i, *columns)


def _touched(step: Step) -> list[Access]:
    columns = (step.columns.start, step.columns.stop)
    rows = [Access(B, one, *columns) for one in step.depth]
    return [Access(A, step.i, step.depth.start, step.depth.stop), *rows, Access(C, step.i, *columns)]
