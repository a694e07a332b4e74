"""What a warp's memory access costs by formula: sectors of global memory, passes of shared memory, lanes.

Lane ``i`` of ``lanes`` touches element ``offset + i * stride``, aligned to its size. A sector is 32 bytes,
the unit in which L1 and L2 fetch; a line is 128 bytes, with one tag (NVIDIA Nsight Compute, Profiling Guide,
"Memory Tables"). Shared memory has 32 banks of 4 bytes, each of which gives one word a cycle; the same word
goes to any number of lanes (CUDA C++ Programming Guide, "Shared Memory", capability 5.x and later).
"""

from __future__ import annotations

import math

WARP = 32
SECTOR_BYTES = 32
LINE_BYTES = 128
BANKS = 32
WORD_BYTES = 4


def strided_sectors(
    stride: int, element_bytes: int, *, offset: int = 0, lanes: int = WARP, granule: int = SECTOR_BYTES
) -> int:
    """Sectors (``granule`` 128: lines) that one request touches; ``stride`` and ``offset`` in elements.

    Up to a stride of one granule all between the first and the last byte; beyond it, one for each lane.
    """
    step = abs(stride) * element_bytes
    if step > granule and granule % element_bytes == 0:
        return lanes
    first = (offset + min(0, stride * (lanes - 1))) * element_bytes
    last = first + step * (lanes - 1) + element_bytes - 1
    return last // granule - first // granule + 1


def strided_efficiency(stride: int, element_bytes: int, *, offset: int = 0, lanes: int = WARP) -> float:
    """Bytes asked for over bytes of the sectors moved for them."""
    asked = element_bytes * (lanes if stride else 1)
    return asked / (SECTOR_BYTES * strided_sectors(stride, element_bytes, offset=offset, lanes=lanes))


def phases(element_bytes: int) -> int:
    """Parts in which a warp's access to shared memory is served: accesses of 8 bytes by half warps, those of
    16 by quarters, for 32 banks give 128 bytes a cycle."""
    return max(1, element_bytes // WORD_BYTES)


def strided_passes(stride: int, element_bytes: int = WORD_BYTES) -> int:
    """Cycles in which shared memory serves a full warp's access, elements of 4, 8 or 16 bytes.

    Within a phase lanes ``i`` and ``j`` meet in a bank if ``(i - j) * stride`` is a multiple of the banks (of
    pairs or fours of them), so ``gcd(stride, banks)`` words are asked of one; the phases follow each other.
    """
    parts = phases(element_bytes)
    return parts * (math.gcd(stride, BANKS // parts) if stride else 1)


def padded_pitch(columns: int, element_bytes: int = WORD_BYTES) -> int:
    """The least pitch (elements a row) from ``columns`` on with which a column is read without conflict."""
    banks = BANKS // phases(element_bytes)
    return next(pitch for pitch in range(columns, columns + banks + 1) if math.gcd(pitch, banks) == 1)


def interleaved_reduction_share(threads: int) -> float:
    """Mean share of active lanes in the additions of a tree over ``threads`` (a power of two) in which thread
    ``t`` works at distance ``d`` if ``t % (2 * d) == 0``; only warps with a thread that works count."""
    lanes, issued, distance = 0, 0, 1
    while distance < threads:
        working = threads // (2 * distance)
        lanes += working
        issued += WARP * min(working, threads // WARP)
        distance *= 2
    return lanes / issued


def sequential_reduction_share(threads: int) -> float:
    """The same where the first ``d`` threads work at distance ``d``: whole warps, while 32 are left."""
    lanes, issued, distance = 0, 0, threads // 2
    while distance:
        lanes += distance
        issued += -(-distance // WARP) * WARP
        distance //= 2
    return lanes / issued


def shuffle_steps(lanes: int = WARP) -> int:
    """Shuffles with which ``lanes`` lanes (a power of two) sum their values: each halves what is left."""
    return lanes.bit_length() - 1


def divergent_efficiency(shares: list[int], *, lanes: int = WARP) -> float:
    """Mean share of active lanes where a warp's lanes take paths of equal length, ``shares`` of them each:
    the paths run one after another."""
    taken = [share for share in shares if share]
    return sum(taken) / (lanes * len(taken))
