"""What alignment costs in bytes, and what it does to reads on this machine."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, NamedTuple

from labs.memory.allocators.fit import Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labs.measure import Timing
    from labs.results import Array

ALIGNMENTS = tuple(2**power for power in range(0, 17))
OFFSETS = (0, 4, 16, 32, 60)
_SIZES, _LEAST, _MOST = 4096, 6, 16  # how many requests, of which powers of two
CACHED, STREAMED = 4096, 8 * 2**20  # float32 numbers: 16 KiB stay in the first cache, 32 MiB in none near
ROWS = 512


class Waste(NamedTuple):
    alignment: int
    asked: int
    granted: int


class Read(NamedTuple):
    """Seconds to read ``nbytes`` from ``offset`` bytes past a 64-byte boundary."""

    offset: int
    nbytes: int
    timing: Timing


class Pitch(NamedTuple):
    """Seconds to add up one column of ``ROWS`` rows that lie ``pitch`` bytes apart."""

    pitch: int
    timing: Timing


def sizes(seed: int) -> list[int]:
    """Requests between 64 B and 64 KiB, evenly on a logarithmic scale."""
    draw = random.Random(f"{seed}/sizes")
    return [int(2 ** draw.uniform(_LEAST, _MOST)) for _ in range(_SIZES)]


def waste(alignment: int, asked: list[int]) -> Waste:
    """What a first-fit allocator grants for them."""
    total = sum(asked)
    allocator = Fit(2 * total + len(asked) * alignment, alignment=alignment)
    for size in asked:
        assert allocator.allocate(size) is not None, "the arena is large enough"
    return Waste(alignment, total, allocator.used)


def aligned_buffer(numbers: int, offset: int) -> Array:
    """float32 zeros that begin ``offset`` bytes past a 64-byte boundary."""
    import numpy as np

    raw = np.zeros(4 * numbers + 192, np.uint8)
    begin = -raw.ctypes.data % 64 + offset
    return raw[begin : begin + 4 * numbers].view(np.float32)


def reads(
    numbers: int, offsets: tuple[int, ...], measure: Callable[[Callable[[], object]], Timing]
) -> Iterator[Read]:
    """A dot product with itself, which reads each number and computes next to nothing.

    It runs on BLAS and its vector loads. An offset that is no multiple of 4 makes each number lie across its
    own alignment, which numpy only reads by copying first.
    """
    for offset in offsets:
        buffer = aligned_buffer(numbers, offset)
        yield Read(offset, buffer.nbytes, measure(functools.partial(buffer.dot, buffer)))


def column_sums(
    pitches: tuple[int, ...], measure: Callable[[Callable[[], object]], Timing]
) -> Iterator[Pitch]:
    """Each number of a column lies in a line of its own. Rows a power of two apart share few cache sets."""
    import numpy as np

    for pitch in pitches:
        matrix = np.zeros((ROWS, pitch // 4), np.float32)
        column = matrix[:, 0]
        yield Pitch(pitch, measure(column.sum))
