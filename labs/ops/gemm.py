"""GEMM: tiles of C over a pipelined loop along k, in grouped order, the sum split where C has few tiles.

Shapes: ``a [m, k]``, ``b [k, n]``, ``c [m, n]``; ``b`` may be a contiguous weight ``[n, k]`` transposed. A
program owns one tile of C and one part of k. Programs are numbered so that those running at one time share
rows of A and columns of B in L2 (grouped order, as in Triton's matmul tutorial). Parts of a split sum go to
memory in fp32 and are added by a second kernel in a fixed order, so that results do not vary between runs.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.gemm import tile_count
from labs.formulas.memory import gemm_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

_PARTIAL_BYTES = 4
_SUM_TILE = 1024
# Tiles below which a GPU stays partly idle, and the steps of k that a part should have left.
_WANTED_TILES, _LEAST_STEPS, _MOST_PARTS = 96, 4, 8


@dataclass(frozen=True)
class Config:
    """Tile sizes, tiles in a group of rows, parts of k, and how the compiler pipelines."""

    tile_m: int
    tile_n: int
    tile_k: int
    warps: int = 4
    stages: int = 3
    group: int = 8
    parts: int = 1


# What is tried on a GPU, for 16-bit operands: each fits the shared memory and registers of sm_80 and sm_90.
# The 99 KiB of a block on sm_86, sm_89 and sm_120 are too few for some, which are passed over there.
# Large tiles for prefill (more FLOPs a loaded byte), low ones for few rows, in between for a small C.
CONFIGS = (
    Config(128, 256, 32, warps=8, stages=4),
    Config(256, 128, 32, warps=8, stages=4),
    Config(128, 128, 64, warps=8, stages=4),
    Config(128, 128, 32, warps=4, stages=4),
    Config(128, 64, 64, warps=4, stages=4),
    Config(64, 128, 64, warps=4, stages=4),
    Config(64, 64, 64, warps=4, stages=5),
    Config(32, 64, 128, warps=4, stages=4),
    Config(16, 64, 128, warps=4, stages=5),
    Config(16, 128, 128, warps=4, stages=4),
)
# From sm_90 on operands of a matrix instruction are read from shared memory: there is room for deeper tiles,
# which spill on sm_80.
HOPPER_CONFIGS = (
    Config(128, 256, 64, warps=8, stages=3),
    Config(256, 128, 64, warps=8, stages=3),
    Config(128, 128, 64, warps=4, stages=3),
)


def naive_gemm(a: Tensor, b: Tensor) -> Tensor:
    """The definition in fp32: each number of C a sum of k products."""
    return (
        (a.float()[:, :, None] * b.float()[None]).sum(dim=1) if a.numel() < 2**16 else a.float() @ b.float()
    )


def fast_gemm(a: Tensor, b: Tensor) -> Tensor:
    """torch's library."""
    return a @ b


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def grouped_tile(program, m, n, TILE_M: tl.constexpr, TILE_N: tl.constexpr, GROUP: tl.constexpr):  # type: ignore[no-untyped-def]
        """Row and column of a program's tile: down GROUP rows of tiles, then on to the next column."""
        rows, columns = tl.cdiv(m, TILE_M), tl.cdiv(n, TILE_N)
        first = program // (GROUP * columns) * GROUP
        height = min(rows - first, GROUP)
        within = program % (GROUP * columns)
        return first + within % height, within // height

    @triton.jit  # type: ignore[untyped-decorator]
    def gemm_tile(  # type: ignore[no-untyped-def]
        a_ptr,  # [m, k]
        b_ptr,  # [k, n]
        c_ptr,  # [PARTS, m, n], fp32 where there are several parts
        m,
        n,
        k,
        b_row,  # numbers from one row of b to the next, and from one column
        b_column,
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        TILE_K: tl.constexpr,
        GROUP: tl.constexpr,
        PARTS: tl.constexpr,
    ):
        row, column = grouped_tile(tl.program_id(0), m, n, TILE_M, TILE_N, GROUP)
        part = tl.program_id(1)
        down, across, depth = tl.arange(0, TILE_M), tl.arange(0, TILE_N), tl.arange(0, TILE_K)
        rows, columns = row * TILE_M + down, column * TILE_N + across
        steps = tl.cdiv(tl.cdiv(k, TILE_K), PARTS)
        begin = part * steps * TILE_K
        end = min(k, begin + steps * TILE_K)
        # A tile's start is one 64-bit number, offsets within it 32 bits each: half the registers.
        a_tile = a_ptr + (row * TILE_M).to(tl.int64) * k
        b_tile = b_ptr + (column * TILE_N).to(tl.int64) * b_column
        a_within = down[:, None] * k + depth[None, :]
        b_within = depth[:, None] * b_row + across[None, :] * b_column
        total = tl.zeros((TILE_M, TILE_N), tl.float32)
        for first in range(begin, end, TILE_K):
            inside = first + depth < end
            a = tl.load(a_tile + first + a_within, mask=(rows < m)[:, None] & inside[None, :], other=0.0)
            b_at = b_tile + tl.cast(first, tl.int64) * b_row + b_within
            b = tl.load(b_at, mask=inside[:, None] & (columns < n)[None, :], other=0.0)
            total = tl.dot(a, b, total, input_precision="ieee")
        place = c_ptr + (part.to(tl.int64) * m + rows[:, None]) * n + columns[None, :]
        tl.store(place, total.to(c_ptr.dtype.element_ty), mask=(rows < m)[:, None] & (columns < n)[None, :])

    @triton.jit  # type: ignore[untyped-decorator]
    def sum_parts(parts_ptr, out_ptr, size, PARTS: tl.constexpr, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
        at = tl.program_id(0) * TILE + tl.arange(0, TILE)
        total = tl.load(parts_ptr + at, mask=at < size, other=0.0)
        for part in tl.static_range(1, PARTS):
            total += tl.load(parts_ptr + part * size.to(tl.int64) + at, mask=at < size, other=0.0)
        tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=at < size)


def triton_gemm(a: Tensor, b: Tensor, config: Config | None = None) -> Tensor:
    """As ``naive_gemm``, in the type of ``a``, which is contiguous; configured by size unless told."""
    (m, k), n = a.shape, b.shape[1]
    config = config or config_for(m, n, k, a.element_size())
    out = torch.empty(m, n, dtype=a.dtype, device=a.device)
    split = config.parts > 1
    target = torch.empty(config.parts, m, n, device=a.device) if split else out
    grid = (tile_count(m, n, config.tile_m, config.tile_n), config.parts)
    gemm_tile[grid](
        *(a, b, target, m, n, k, *b.stride()),
        TILE_M=config.tile_m,
        TILE_N=config.tile_n,
        TILE_K=config.tile_k,
        GROUP=config.group,
        PARTS=config.parts,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    if split:
        sum_parts[(triton.cdiv(m * n, _SUM_TILE),)](
            target, out, m * n, PARTS=config.parts, TILE=_SUM_TILE, num_warps=4
        )
    return out


def config_for(m: int, n: int, k: int, element_bytes: int) -> Config:
    """By size alone, for any target: what is compiled ahead, and where nothing can be tried.

    Few rows want a low tile, for its empty rows are computed as well; a C of few tiles wants the sum split.
    """
    tile_m = 16 if m <= 16 else 32 if m <= 32 else 64 if m <= 64 or element_bytes == 4 else 128
    tile_n = 64 if tile_m <= 64 else 128
    tile_k = 16 if element_bytes == 4 else 32 if tile_m == 128 else 64
    parts = 1
    while (
        2 * parts * tile_count(m, n, tile_m, tile_n) <= _WANTED_TILES
        and k // (2 * parts * tile_k) >= _LEAST_STEPS
        and parts < _MOST_PARTS
    ):
        parts *= 2
    return Config(tile_m, tile_n, tile_k, parts=parts)


def tuned_gemm(a: Tensor, b: Tensor) -> Tensor:
    """``triton_gemm`` with the fastest configuration on this GPU, found at the first call with such sizes."""
    (m, k), n = a.shape, b.shape[1]
    config: Config = _fastest(m, n, k, a.dtype, b.stride(0) == 1, str(a.device))
    return triton_gemm(a, b, config)


@functools.cache
def _fastest(m: int, n: int, k: int, dtype: torch.dtype, transposed: bool, device: str) -> Config:
    from triton.runtime.errors import OutOfResources, PTXASError

    from labs.measure import time_calls

    a = torch.randn(m, k, device=device).to(dtype)
    b = (
        torch.randn(n, k, device=device).to(dtype).t()
        if transposed
        else torch.randn(k, n, device=device).to(dtype)
    )
    tried = [config_for(m, n, k, a.element_size())]
    if a.element_size() == 2:
        tried += CONFIGS
    if a.element_size() == 2 and torch.cuda.get_device_capability(device) >= (9, 0):
        tried += HOPPER_CONFIGS
    seconds: dict[Config, float] = {}
    for config in tried:
        call = functools.partial(triton_gemm, a, b, config)
        with contextlib.suppress(OutOfResources, PTXASError):
            seconds[config] = time_calls(call, device, 0.05).median_s
    return min(seconds, key=seconds.__getitem__)


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    m, n, k = case["m"], case["n"], case["k"]
    weight = make.normal(n, k).t() if case["transposed"] else make.normal(k, n)
    return {"a": make.normal(m, k), "b": weight}


def work(case: Case) -> Work:
    """Of whole tiles: the interpreter multiplies the fringe of a ragged one as well."""
    m, n, k = case["m"], case["n"], case["k"]
    config, size = config_for(m, n, k, case.element_bytes), case.element_bytes
    a = m * k * -(-n // config.tile_n)
    b = k * n * -(-m // config.tile_m)
    partial = config.parts * m * n * _PARTIAL_BYTES if config.parts > 1 else 0
    return Work(
        read=(m * k + k * n) * size + partial,
        written=m * n * size + partial,
        matrix_flops=gemm_flops(m, n, k),
        vector_flops=(config.parts - 1) * m * n,
        loaded=(a + b) * size + partial,
    )


def _case(m: int, n: int, k: int, dtype: Any = "fp32", transposed: int = 0) -> Case:
    return Case({"m": m, "n": n, "k": k, "transposed": transposed}, dtype)


OPERATOR = Operator(
    name="gemm",
    title=Text(zh="GEMM（分块、成组、切分 k）", en="GEMM (tiled, grouped order, split k)"),
    inputs=inputs,
    naive=naive_gemm,
    triton=triton_gemm if HAS_TRITON else None,
    fast=fast_gemm,
    work=work,
    odd=(
        _case(1, 63, 100),
        _case(130, 100, 65),
        _case(5, 33, 300, "fp16", 1),
        _case(17, 200, 1030, transposed=1),
    ),
    aligned=(_case(128, 128, 64), _case(64, 64, 512, transposed=1)),
    shipped=(
        _case(1024, 1024, 1024, "fp16", 1),
        _case(8, 1024, 1024, "bf16", 1),
        _case(256, 576, 576),
    ),
    multiplies_matrices=True,
)
