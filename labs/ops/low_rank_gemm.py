"""Low-rank GEMM ``(x @ A) @ B``: as two kernels, or as one that keeps ``x @ A`` on the chip.

Shapes: ``x [m, k]``, ``a [k, r]``, ``b [r, n]``, ``y [m, n]``, all contiguous. A program of the fused kernel
owns a tile of rows: it sums its ``TILE_M x r`` product over k in registers, rounds it to the type of x, as
writing it would, and walks with it along its part of the columns of B. Few rows leave a GPU idle, so the
columns are divided into parts, each of which computes ``x @ A`` anew: cheap while the rank is small. From
``MOST_FUSED_RANK`` on the accumulators no longer fit, and two GEMMs run instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labs.formulas.low_rank import fused_flops, fused_loaded, low_rank_bytes
from labs.ops.gemm import triton_gemm
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

MOST_FUSED_RANK = 128
_LEAST_DOT = 16  # the least side that tl.dot takes
_WANTED_PROGRAMS = 96


@dataclass(frozen=True)
class Config:
    """Tile sizes, the parts of n, and how the compiler pipelines."""

    tile_m: int
    tile_n: int
    tile_k: int
    parts: int
    warps: int = 4
    stages: int = 2


def naive_low_rank_gemm(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The definition in fp32."""
    return (x.float() @ a.float()) @ b.float()


def fast_low_rank_gemm(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """torch's library, twice: the thin product is written and read again."""
    return (x @ a) @ b


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def low_rank_rows(  # type: ignore[no-untyped-def]
        x_ptr,  # [m, k]
        a_ptr,  # [k, rank]
        b_ptr,  # [rank, n]
        y_ptr,  # [m, n]
        m,
        n,
        k,
        rank,
        columns,  # of B that a part has, a multiple of TILE_N
        RANK: tl.constexpr,  # rank, up to a power of two
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        TILE_K: tl.constexpr,
    ):
        row, part = tl.program_id(0).to(tl.int64) * TILE_M, tl.program_id(1)
        down, within, depth = tl.arange(0, TILE_M), tl.arange(0, RANK), tl.arange(0, TILE_K)
        inside_m, inside_r = row + down < m, within < rank
        thin = tl.zeros((TILE_M, RANK), tl.float32)
        for first in range(0, k, TILE_K):
            inside_k = first + depth < k
            x_at = x_ptr + (row + down)[:, None] * k + (first + depth)[None, :]
            x = tl.load(x_at, mask=inside_m[:, None] & inside_k[None, :], other=0.0)
            a_at = a_ptr + (first + depth)[:, None] * rank + within[None, :]
            a = tl.load(a_at, mask=inside_k[:, None] & inside_r[None, :], other=0.0)
            thin = tl.dot(x, a, thin, input_precision="ieee")
        kept = thin.to(x_ptr.dtype.element_ty)  # never leaves the chip
        begin = part * columns
        for first in range(begin, min(n, begin + columns), TILE_N):
            across = first + tl.arange(0, TILE_N)
            inside_n = across < n
            b_at = b_ptr + within[:, None] * n + across[None, :]
            b = tl.load(b_at, mask=inside_r[:, None] & inside_n[None, :], other=0.0)
            y = tl.dot(kept, b, input_precision="ieee")
            y_at = y_ptr + (row + down)[:, None] * n + across[None, :]
            tl.store(y_at, y.to(y_ptr.dtype.element_ty), mask=inside_m[:, None] & inside_n[None, :])


def fused_low_rank_gemm(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """One kernel, whatever the rank."""
    (m, k), (rank, n) = x.shape, b.shape
    config = config_for(m, n, x.element_size())
    y = x.new_empty(m, n)
    low_rank_rows[(triton.cdiv(m, config.tile_m), config.parts)](
        *(x, a, b, y, m, n, k, rank, part_columns(n, config)),
        RANK=max(_LEAST_DOT, triton.next_power_of_2(rank)),
        TILE_M=config.tile_m,
        TILE_N=config.tile_n,
        TILE_K=config.tile_k,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return y


def split_low_rank_gemm(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Two GEMM kernels, with the thin product in memory between them."""
    return triton_gemm(triton_gemm(x, a), b)


def triton_low_rank_gemm(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """As ``naive_low_rank_gemm``, in the type of ``x``: fused where the rank is small."""
    fused = a.shape[1] <= MOST_FUSED_RANK
    return fused_low_rank_gemm(x, a, b) if fused else split_low_rank_gemm(x, a, b)


def config_for(m: int, n: int, element_bytes: int) -> Config:
    """By size alone: low tiles for few rows, and parts until there are programs enough or columns end."""
    tile_m = 16 if m <= 16 else 32 if m <= 32 or element_bytes == 4 else 64
    tile_n, tile_k = 64, 16 if element_bytes == 4 else 64
    rows, most = -(-m // tile_m), -(-n // tile_n)
    parts = 1
    while 2 * parts * rows <= _WANTED_PROGRAMS and 2 * parts <= most:
        parts *= 2
    return Config(tile_m, tile_n, tile_k, parts)


def part_columns(n: int, config: Config) -> int:
    """Columns of B that one part has: whole tiles."""
    return -(-n // (config.tile_n * config.parts)) * config.tile_n


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    m, n, k, rank = (case[name] for name in ("m", "n", "k", "rank"))
    return {
        "x": make.normal(m, k),
        "a": make.normal(k, rank, scale=k**-0.5),
        "b": make.normal(rank, n, scale=rank**-0.5),
    }


def work(case: Case) -> Work:
    """Of the fused kernel with whole tiles."""
    m, n, k, rank = (case[name] for name in ("m", "n", "k", "rank"))
    size, config = case.element_bytes, config_for(m, n, case.element_bytes)
    written = m * n * size
    return Work(
        read=round(low_rank_bytes(m, n, k, rank, size, fused=True)) - written,
        written=written,
        matrix_flops=fused_flops(m, n, k, rank, config.parts),
        loaded=round(fused_loaded(m, n, k, rank, config.tile_m, config.parts, size)),
    )


def _case(m: int, n: int, k: int, rank: int, dtype: Any = "fp32") -> Case:
    return Case({"m": m, "n": n, "k": k, "rank": rank}, dtype)


OPERATOR = Operator(
    name="low_rank_gemm",
    title=Text(zh="低秩 GEMM（中间结果留在片上）", en="Low-rank GEMM (the product between stays on chip)"),
    inputs=inputs,
    naive=naive_low_rank_gemm,
    triton=triton_low_rank_gemm if HAS_TRITON else None,
    fast=fast_low_rank_gemm,
    work=work,
    odd=(_case(1, 100, 63, 5), _case(37, 130, 65, 20), _case(5, 200, 100, 17, "fp16")),
    aligned=(_case(64, 256, 128, 16), _case(16, 128, 64, 32)),
    shipped=(_case(16, 1536, 576, 64, "fp16"), _case(2048, 4096, 4096, 128, "bf16")),
    multiplies_matrices=True,
)
