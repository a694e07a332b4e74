"""The rungs of the ladder: what each mends, and the most that its inner loop allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.gemm import Misses, cache_misses, packing_bytes
from labs.formulas.memory import gemm_bytes, gemm_flops
from labs.text import Text

if TYPE_CHECKING:
    from labs.formulas.gemm import Order
    from labs.gemm.ceilings import Ceilings
    from labs.gemm.native import Blocks

LINE_BYTES = 64
PACKED, THREADED = 5, 6  # rungs that copy A and B first
ENOUGH_ROWS = 256  # by then a tile of B has been paid for
# Memory instructions a multiply-add of the loops whose C is in memory: load B, load C, store C.
_ROW_ACCESSES = 3


@dataclass(frozen=True)
class Rung:
    """``order`` is its loop order where a formula tells its misses.

    Of a large product only some rows are computed, ``least_rows`` at least: enough for what it reuses.
    """

    name: Text
    mends: Text
    order: Order | None = None
    least_rows: int = ENOUGH_ROWS

    def __hash__(self) -> int:
        return hash(self.name.en)


RUNGS = (
    Rung(
        Text(zh="朴素 ijk", en="naive ijk"),
        Text(
            zh="起点：三重循环，沿 B 的列走，一个数一条缓存行；每次加法等上一次",
            en="the start: walks down columns of B, a cache line a number; each add waits for the last one",
        ),
        "ijk",
        1,
    ),
    Rung(
        Text(zh="换循环序 ikj", en="order ikj"),
        Text(
            zh="B、C 都沿行走，一行缓存用满；加法互不等待",
            en="B and C along their rows: whole cache lines used, and adds that do not wait",
        ),
        "ikj",
        1,
    ),
    Rung(
        Text(zh="向量化", en="vectorised"),
        Text(
            zh="同一循环，编译器用向量指令：一条算一整个向量",
            en="the same loop in vector instructions: a vector of numbers each",
        ),
        "ikj",
        1,
    ),
    Rung(
        Text(zh="缓存分块", en="cache tiles"),
        Text(
            zh="B 的一块留在缓存里，A 的各行从它旁边过；B 只读一遍",
            en="a tile of B stays in the cache while the rows of A pass: B is fetched once",
        ),
        "tiled",
    ),
    Rung(
        Text(zh="寄存器分块", en="register tiles"),
        Text(
            zh="C 的小块留在寄存器，k 步才写一次：不再受 L1 端口限制",
            en="a tile of C in registers, written once in k steps: no longer bound by the ports of L1",
        ),
    ),
    Rung(
        Text(zh="打包", en="packed"),
        Text(
            zh="A、B 先重排成微内核的次序：地址连续，没有跨步与组冲突（Goto/BLIS）",
            en="A and B copied into the micro-kernel's order: no strides, no set conflicts (Goto/BLIS)",
        ),
    ),
    Rung(
        Text(zh="多线程", en="threads"),
        Text(zh="C 切成几条，每线程一条，互不通信", en="strips of C, one a thread, that share nothing"),
    ),
)


def instruction_bound(index: int, ceilings: Ceilings) -> float:
    """FLOP/s that the inner loop of a rung allows when all its data are in L1."""
    if index == 0:
        return ceilings.dot
    if index == 1:
        return 2 * ceilings.memory_instructions / _ROW_ACCESSES
    if index in (2, 3):
        return 2 * ceilings.lanes * ceilings.memory_instructions / _ROW_ACCESSES
    return ceilings.peak_all if index == len(RUNGS) - 1 else ceilings.peak


def misses(rung: Rung, m: int, n: int, k: int, tile: int, cache_bytes: int) -> Misses | None:
    """By formula, for the rungs whose loops it knows."""
    return None if rung.order is None else cache_misses(rung.order, m, n, k, cache_bytes, tile=tile)


def traffic_seconds(
    rung: Rung, m: int, n: int, k: int, tile: int, sizes: dict[int, int], read: dict[int, float]
) -> float:
    """The slowest of reading what each level misses from the next one; 0 where no formula tells."""
    levels = sorted(sizes)
    slowest = 0.0
    for level, beyond in zip(levels, [*levels[1:], 0], strict=True):
        if found := misses(rung, m, n, k, tile, sizes[level]):
            slowest = max(slowest, found.lines * LINE_BYTES / read[beyond])
    return slowest


def compulsory_seconds(
    index: int, m: int, n: int, k: int, block_n: int, sizes: dict[int, int], ceilings: Ceilings
) -> float:
    """Reading A, B and C once from the smallest level that holds them, and what packing adds to that."""
    moved = gemm_bytes(m, n, k, 32, 32, 32)
    level = next((level for level in sorted(sizes) if sizes[level] >= moved), 0)
    if index in (PACKED, THREADED):
        moved += packing_bytes(m, n, k, block_n)
    return moved / (ceilings.read[level] * (ceilings.threads if index == THREADED else 1))


def bound(
    index: int, m: int, n: int, k: int, blocks: Blocks, sizes: dict[int, int], ceilings: Ceilings
) -> float:
    """FLOP/s at best: the inner loop, or fetching what the caches do not hold, whichever is slower."""
    flops = gemm_flops(m, n, k)
    return flops / max(
        flops / instruction_bound(index, ceilings),
        traffic_seconds(RUNGS[index], m, n, k, blocks.tile, sizes, ceilings.read),
        compulsory_seconds(index, m, n, k, blocks.n, sizes, ceilings),
    )


def torch_bound(threads: int, m: int, n: int, k: int, sizes: dict[int, int], ceilings: Ceilings) -> float:
    """Of a library that may do as it likes: the peak, or reading everything once."""
    peak = ceilings.peak if threads == 1 else ceilings.peak_all
    flops = gemm_flops(m, n, k)
    once = compulsory_seconds(0, m, n, k, 1, sizes, ceilings) / threads
    return flops / max(flops / peak, once)
