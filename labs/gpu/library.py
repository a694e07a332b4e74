"""Kernels to begin with, each in the language of ``labs.gpu.language``, and what each must compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from labs.formulas.warp_access import (
    divergent_efficiency,
    interleaved_reduction_share,
    sequential_reduction_share,
    strided_passes,
    strided_sectors,
)
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.results import Array


@dataclass(frozen=True)
class Kernel:
    """``expected``: what output arrays must hold, from the inputs. ``look``: what to look at.

    ``predicted`` by formula: ``sectors`` and ``passes`` of the whole kernel, ``active`` share of the lanes in
    lines with ``focus``.
    """

    name: Text
    look: Text
    source: str
    expected: Callable[[dict[str, Array]], dict[str, Array]]
    predicted: dict[str, float] = field(default_factory=dict)
    focus: str = ""


# A transpose of 32 x 32 numbers makes 32 requests that read and 32 that write, each of a row or a column.
_ROW, _COLUMN = 32 * strided_sectors(1, 4), 32 * strided_sectors(32, 4)
_ROW_PASSES = 32 * strided_passes(1)
# 512 numbers read by 16 warps, and a sum for each of two blocks, which lie in sectors of their own requests.
_REDUCTION_SECTORS = 16 * strided_sectors(1, 4) + 2


def _transposed(memory: dict[str, Array]) -> dict[str, Array]:
    return {"dst": np.ascontiguousarray(memory["src"].reshape(32, 32).T).ravel()}


def _block_sums(threads: int) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda memory: {"out": memory["src"].reshape(-1, threads).sum(axis=1)}


def _transpose_in_shared(pitch: str, write: str, read: str) -> str:
    return f"""\
launch(grid=1, block=(32, 8))
N = 32
src = global_memory(float, 1024)
dst = global_memory(float, 1024)
tile = shared_memory(float, 32 * {pitch})
x = threadIdx.x
y = threadIdx.y
for j in range(0, N, 8):
    tile[{write}] = src[(y + j) * N + x]
syncthreads()
for j in range(0, N, 8):
    dst[(y + j) * N + x] = tile[{read}]
"""


KERNELS: dict[str, Kernel] = {
    "transpose_naive": Kernel(
        Text(zh="转置：直接写", en="transpose: direct"),
        Text(
            zh="读是连续的；写的时候相邻 lane 隔一整行，每个 lane 占一个扇区。",
            en="Reads are contiguous; in writes neighbouring lanes are a row apart, a sector for each.",
        ),
        """\
launch(grid=1, block=(32, 8))
N = 32
src = global_memory(float, 1024)
dst = global_memory(float, 1024)
x = threadIdx.x
y = threadIdx.y
for j in range(0, N, 8):
    dst[x * N + y + j] = src[(y + j) * N + x]
""",
        _transposed,
        {"sectors": _ROW + _COLUMN},
    ),
    "transpose_shared": Kernel(
        Text(zh="转置：经共享内存", en="transpose: through shared memory"),
        Text(
            zh="全局读写都连续了；代价移到共享内存：按列读，32 个 lane 落在同一个 bank。",
            en="Global reads and writes are contiguous; the cost has moved to shared memory, where a column "
            "lies in one bank.",
        ),
        _transpose_in_shared("32", "(y + j) * 32 + x", "x * 32 + y + j"),
        _transposed,
        {"sectors": 2 * _ROW, "passes": _ROW_PASSES + 32 * strided_passes(32)},
    ),
    "transpose_padded": Kernel(
        Text(zh="转置：每行垫一个字", en="transpose: a row padded by a word"),
        Text(
            zh="行距 33：按列读时 bank 逐行错开一个。多用 128 字节。",
            en="A pitch of 33: down a column each row is one bank on. It costs 128 bytes.",
        ),
        _transpose_in_shared("33", "(y + j) * 33 + x", "x * 33 + y + j"),
        _transposed,
        {"sectors": 2 * _ROW, "passes": _ROW_PASSES + 32 * strided_passes(33)},
    ),
    "transpose_swizzled": Kernel(
        Text(zh="转置：异或换位（swizzle）", en="transpose: swizzled"),
        Text(
            zh="列号与行号异或：不多用一个字节，行与列都没有冲突。",
            en="The column is XORed with the row: not a byte more, and neither rows nor columns conflict.",
        ),
        _transpose_in_shared("32", "(y + j) * 32 + (x ^ (y + j))", "x * 32 + ((y + j) ^ x)"),
        _transposed,
        {"sectors": 2 * _ROW, "passes": 2 * _ROW_PASSES},
    ),
    "reduce_interleaved": Kernel(
        Text(zh="归约：交错寻址", en="reduction: interleaved"),
        Text(
            zh="工作的线程散在每个 warp 里：warp 都得发射，lane 大多空着。",
            en="The threads that work are spread over all warps: each issues, and most lanes idle.",
        ),
        """\
launch(grid=2, block=256)
src = global_memory(float, 512)
out = global_memory(float, 2)
s = shared_memory(float, 256)
t = threadIdx.x
s[t] = src[blockIdx.x * blockDim.x + t]
syncthreads()
d = 1
while d < blockDim.x:
    if t % (2 * d) == 0:
        s[t] += s[t + d]
    syncthreads()
    d *= 2
if t == 0:
    out[blockIdx.x] = s[0]
""",
        _block_sums(256),
        {"sectors": _REDUCTION_SECTORS, "active": interleaved_reduction_share(256)},
        focus="s[t] += s[t + d]",
    ),
    "reduce_sequential": Kernel(
        Text(zh="归约：顺序寻址", en="reduction: sequential"),
        Text(
            zh="前 d 个线程工作：整个 warp 要么全忙要么不发射，分叉只剩最后几步。",
            en="The first d threads work: a warp is busy as a whole or skips the additions; only the last "
            "steps diverge.",
        ),
        """\
launch(grid=2, block=256)
src = global_memory(float, 512)
out = global_memory(float, 2)
s = shared_memory(float, 256)
t = threadIdx.x
s[t] = src[blockIdx.x * blockDim.x + t]
syncthreads()
d = blockDim.x / 2
while d > 0:
    if t < d:
        s[t] += s[t + d]
    syncthreads()
    d = d / 2
if t == 0:
    out[blockIdx.x] = s[0]
""",
        _block_sums(256),
        {"sectors": _REDUCTION_SECTORS, "active": sequential_reduction_share(256)},
        focus="s[t] += s[t + d]",
    ),
    "reduce_shuffle": Kernel(
        Text(zh="归约：warp 内 shuffle", en="reduction: shuffles"),
        Text(
            zh="warp 内用寄存器交换，5 步加完 32 个数；只有 8 个部分和走共享内存，屏障只剩一个。",
            en="Within a warp registers are exchanged: 32 numbers in 5 steps. Only 8 partial sums go through "
            "shared memory, with one barrier.",
        ),
        """\
launch(grid=2, block=256)
src = global_memory(float, 512)
out = global_memory(float, 2)
s = shared_memory(float, 32)
v = src[blockIdx.x * blockDim.x + threadIdx.x]
d = 16
while d > 0:
    v += shfl_down(v, d)
    d = d / 2
if lane == 0:
    s[warp] = v
syncthreads()
if warp == 0:
    v = 0.0
    if lane < blockDim.x / 32:
        v = s[lane]
    d = 16
    while d > 0:
        v += shfl_down(v, d)
        d = d / 2
    if lane == 0:
        out[blockIdx.x] = v
""",
        _block_sums(256),
        {"sectors": _REDUCTION_SECTORS},
    ),
    "missing_barrier": Kernel(
        Text(zh="归约：漏了屏障", en="reduction: a barrier is missing"),
        Text(
            zh="循环里没有 syncthreads()：后一步读到前一步还没写的数。换一个 warp 次序，结果就变。",
            en="No syncthreads() within the loop: a step reads what the one before has not written yet. In "
            "another order of the warps the result differs.",
        ),
        """\
launch(grid=1, block=256)
src = global_memory(float, 256)
out = global_memory(float, 1)
s = shared_memory(float, 256)
t = threadIdx.x
s[t] = src[t]
syncthreads()
d = blockDim.x / 2
while d > 0:
    if t < d:
        s[t] += s[t + d]
    d = d / 2
if t == 0:
    out[0] = s[0]
""",
        _block_sums(256),
    ),
    "divergence": Kernel(
        Text(zh="分叉：按 lane 还是按 warp", en="divergence: by lane or by warp"),
        Text(
            zh="前一个 if 在每个 warp 里一分为二，两边都要发射；后一个 if 按 warp 分，没有 lane 空转。",
            en="The first if splits every warp and both sides are issued; the second goes by warps and "
            "idles no lane.",
        ),
        """\
launch(grid=1, block=128)
src = global_memory(float, 128)
out_lane = global_memory(float, 128)
out_warp = global_memory(float, 128)
t = threadIdx.x
a = src[t]
b = a
if t % 2 == 0:
    a = a * 2.0
    a = a + 1.0
else:
    a = a * 3.0
    a = a - 1.0
out_lane[t] = a
if warp % 2 == 0:
    b = b * 2.0
    b = b + 1.0
else:
    b = b * 3.0
    b = b - 1.0
out_warp[t] = b
""",
        lambda memory: {
            "out_lane": np.where(np.arange(128) % 2 == 0, memory["src"] * 2 + 1, memory["src"] * 3 - 1),
            "out_warp": np.where(np.arange(128) // 32 % 2 == 0, memory["src"] * 2 + 1, memory["src"] * 3 - 1),
        },
        {"active": divergent_efficiency([16, 16])},
        focus="a = a",
    ),
    "ballot_compaction": Kernel(
        Text(zh="表决：压紧保留的元素", en="vote: packing what is kept"),
        Text(
            zh="ballot 让每个 lane 知道谁保留；自己前面有几个 1，就写到第几个。一个 warp 只要一次原子加。",
            en="ballot tells every lane who keeps its number; the ones below its own bit say where to write. "
            "One atomic for a warp.",
        ),
        """\
launch(grid=2, block=64)
src = global_memory(int, 128)
out = global_memory(int, 128)
count = global_memory(int, 1)
v = src[blockIdx.x * blockDim.x + threadIdx.x]
keep = v % 3 == 0
votes = ballot(keep)
before = popc(votes & ((1 << lane) - 1))
start = 0
if lane == 0:
    start = atomic_add(count, 0, popc(votes))
start = shfl(start, 0)
if keep:
    out[start + before] = v
""",
        lambda memory: {"count": np.array([43])},
    ),
    "last_block": Kernel(
        Text(zh="跨 block：最后一个来收尾", en="across blocks: the last one finishes"),
        Text(
            zh="每个 block 写部分和、threadfence()、再原子领号；领到最后一号的 block 看得见所有部分和。",
            en="Each block writes its partial sum, then threadfence(), then takes a ticket; the one that "
            "draws the last sees all partial sums.",
        ),
        """\
launch(grid=8, block=64)
src = global_memory(float, 512)
partial = global_memory(float, 8)
ticket = global_memory(int, 1)
out = global_memory(float, 1)
s = shared_memory(float, 2)
last = shared_memory(int, 1)
v = src[blockIdx.x * blockDim.x + threadIdx.x]
for i in range(5):
    v += shfl_xor(v, 1 << i)
if lane == 0:
    s[warp] = v
syncthreads()
if threadIdx.x == 0:
    partial[blockIdx.x] = s[0] + s[1]
    threadfence()
    last[0] = atomic_add(ticket, 0, 1) == gridDim.x - 1
syncthreads()
if last[0]:
    if threadIdx.x == 0:
        total = 0.0
        for i in range(gridDim.x):
            total += partial[i]
        out[0] = total
""",
        lambda memory: {"out": np.array([memory["src"].sum()])},
    ),
    "grid_sync": Kernel(
        Text(zh="跨 block：全网格屏障", en="across blocks: a barrier of the grid"),
        Text(
            zh="协作启动：所有 block 到齐才继续，于是每个 block 都能读到别人刚写的部分和。",
            en="A cooperative launch: none goes on before all have come, so every block may read what others "
            "have just written.",
        ),
        """\
launch(grid=4, block=32)
src = global_memory(float, 128)
partial = global_memory(float, 4)
out = global_memory(float, 128)
i = blockIdx.x * blockDim.x + threadIdx.x
v = src[i]
for k in range(5):
    v += shfl_xor(v, 1 << k)
if lane == 0:
    partial[blockIdx.x] = v
grid_sync()
total = 0.0
for k in range(gridDim.x):
    total += partial[k]
out[i] = src[i] / total
""",
        lambda memory: {"out": memory["src"] / memory["src"].sum()},
    ),
    "histogram": Kernel(
        Text(zh="原子：直方图", en="atomics: a histogram"),
        Text(
            zh="先在共享内存里原子计数，再每个桶一次全局原子加：一个 block 只碰全局内存 16 次，不是 128 次。",
            en="Counted by atomics in shared memory first, then one global atomic a bin: a block makes 16, "
            "not 128.",
        ),
        """\
launch(grid=4, block=128)
src = global_memory(int, 512)
hist = global_memory(int, 16)
s = shared_memory(int, 16)
t = threadIdx.x
if t < 16:
    s[t] = 0
syncthreads()
v = src[blockIdx.x * blockDim.x + t]
atomic_add(s, v * v % 16, 1)
syncthreads()
if t < 16:
    atomic_add(hist, t, s[t])
""",
        lambda memory: {"hist": np.bincount(memory["src"] * memory["src"] % 16, minlength=16)},
    ),
}
