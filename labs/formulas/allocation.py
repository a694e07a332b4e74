"""What an allocator rounds, wastes and can give: alignment, size classes, buddies, the caching allocator.

Sizes and addresses are bytes. Rounding wastes inside a block (internal fragmentation); free bytes that do not
lie together are of no use to a large request (external fragmentation).
"""

from __future__ import annotations

import itertools
import math

KIB, MIB = 2**10, 2**20

# c10/core/AllocatorConfig.h (kMinBlockSize and its kin) and CUDACachingAllocator.cpp of PyTorch 2.13.
LEAST_BLOCK = 512  # all sizes are rounded to this
SMALL_MOST = MIB  # up to here a request is served from the small pool
SMALL_SEGMENT = 2 * MIB
LARGE_SEGMENT = 20 * MIB  # for requests below LARGE_OWN
LARGE_OWN = 10 * MIB  # from here on a request has a segment of its own, rounded to LARGE_ROUND
LARGE_ROUND = 2 * MIB
LARGE_SPLIT = MIB  # in the large pool a block is split only if more than this stays over


def round_up(size: int, alignment: int) -> int:
    """The least multiple of ``alignment`` that is not below ``size``."""
    return -(-size // alignment) * alignment


def expected_rounding(alignment: int) -> float:
    """Bytes that rounding up adds on average, ``(A - 1) / 2``, if all remainders are equally likely."""
    return (alignment - 1) / 2


def buddy_size(size: int, least: int = 1) -> int:
    """The block that the buddy system gives: the next power of two, at least ``least``."""
    return max(least, 1 << (size - 1).bit_length())


def size_class(size: int, least: int = 512, steps: int = 4) -> int:
    """The size class of a slab allocator: ``steps`` equally spaced classes to each doubling.

    Above the first doubling a class wastes less than ``1 / (steps + 1)`` of itself: 20 % with four steps.
    """
    if size <= least:
        return least
    power = 1 << (size - 1).bit_length() - 1  # the power of two below size
    return round_up(size, max(power // steps, 1))


def mean_class_waste(steps: int = 1) -> float:
    """Share of granted bytes that rounding to size classes wastes, sizes being even on a logarithmic scale.

    In units of the lower power of two the mean size of a doubling is ``1 / ln 2``; class ``1 + k / n`` serves
    the share ``log2((1 + k / n) / (1 + (k - 1) / n))`` of the sizes. ``steps = 1`` is the buddy system, whose
    mean grant is 2: 27.9 % are wasted.
    """
    bounds = [1 + k / steps for k in range(steps + 1)]
    granted = sum(high * math.log2(high / low) for low, high in itertools.pairwise(bounds))
    return 1 - 1 / (math.log(2) * granted)


def external_fragmentation(largest: float, free: float) -> float:
    """Share of the free bytes that the largest possible request cannot have; 0 where nothing is free."""
    return 1 - largest / free if free else 0.0


def robson_arena(live: float, largest: float) -> float:
    """What *any* allocator which never moves anything needs in the worst case, to a lower bound.

    ``live (log2 largest / 2 + 1) - largest + 1``, where ``live`` is in use at most and the sizes are powers
    of two up to ``largest``, both in units of the smallest object (J. M. Robson, Bounds for Some Functions
    Concerning Dynamic Storage Allocation, JACM 21(3), 1974).
    """
    return live * (math.log2(largest) / 2 + 1) - largest + 1


def caching_rounded(size: int) -> int:
    """What PyTorch's CUDA allocator rounds a request to."""
    return max(LEAST_BLOCK, round_up(size, LEAST_BLOCK))


def caching_segment(size: int) -> int:
    """The segment that it asks the device for when no cached block fits a request rounded to ``size``."""
    if size <= SMALL_MOST:
        return SMALL_SEGMENT
    return LARGE_SEGMENT if size < LARGE_OWN else round_up(size, LARGE_ROUND)


def mean_live_length(prompt: float, output: float, variation: float = 0.0) -> float:
    """Tokens of a running sequence, averaged over time, while its answer grows at an even pace.

    ``prompt + output (1 + variation**2) / 2``: long answers are seen longer (the inspection paradox).
    ``variation`` is the coefficient of variation of the answers' lengths.
    """
    return prompt + output * (1 + variation**2) / 2


def doubling_copies(final: int, first: int = 1) -> int:
    """Elements copied in all while a buffer grows from ``first`` to hold ``final`` by doubling: below
    ``2 final``."""
    copied, room = 0, first
    while room < final:
        copied += room
        room *= 2
    return copied


def sectors_touched(address: int, size: int, sector: int = 32) -> int:
    """Sectors (or cache lines, or pages) of ``sector`` bytes that an access to ``size`` bytes touches."""
    return (address + size - 1) // sector - address // sector + 1
