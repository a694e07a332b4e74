"""INT8 GEMM (W8A8): products of integers summed in int32, scaled once at the end.

Shapes: ``a [m, k]`` int8 with a scale a row (a token); ``b [n, k]`` int8, a linear layer's weight, with a
scale a row (an output channel); ``c [m, n]`` fp32. These scales do not depend on k, so they leave the sum:
that is why activations are quantised per token and weights per channel, never along k (SmoothQuant,
arXiv:2211.10438, section 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.gemm import tile_count
from labs.formulas.memory import gemm_flops
from labs.ops.gemm import Config
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

_SCALE_BYTES, _OUT_BYTES = 4, 4


def naive_int8_gemm(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> Tensor:
    """Dequantised first, multiplied in double precision, which is exact for these integers."""
    total = (a.double() @ b.double().t()).float()
    return total * a_scale[:, None] * b_scale[None, :]


def fast_int8_gemm(a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor) -> Tensor:
    """torch's integer product, then the scales."""
    return torch._int_mm(a, b.t()).float() * a_scale[:, None] * b_scale[None, :]


if HAS_TRITON:
    import triton
    import triton.language as tl

    from labs.ops.gemm import grouped_tile

    @triton.jit  # type: ignore[untyped-decorator]
    def int8_gemm_tile(  # type: ignore[no-untyped-def]
        a_ptr,  # [m, k] int8
        b_ptr,  # [n, k] int8
        a_scale_ptr,  # [m]
        b_scale_ptr,  # [n]
        c_ptr,  # [m, n]
        m,
        n,
        k,
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        TILE_K: tl.constexpr,
        GROUP: tl.constexpr,
    ):
        row, column = grouped_tile(tl.program_id(0), m, n, TILE_M, TILE_N, GROUP)
        rows = row * TILE_M + tl.arange(0, TILE_M)
        columns = column * TILE_N + tl.arange(0, TILE_N)
        depth = tl.arange(0, TILE_K)
        a_at = a_ptr + rows[:, None].to(tl.int64) * k
        b_at = b_ptr + columns[None, :].to(tl.int64) * k
        total = tl.zeros((TILE_M, TILE_N), tl.int32)
        for first in range(0, k, TILE_K):
            at = first + depth
            a = tl.load(a_at + at[None, :], mask=(rows < m)[:, None] & (at < k)[None, :], other=0)
            b = tl.load(b_at + at[:, None], mask=(at < k)[:, None] & (columns < n)[None, :], other=0)
            total = tl.dot(a, b, total, out_dtype=tl.int32)
        a_scale = tl.load(a_scale_ptr + rows, mask=rows < m, other=0.0)
        b_scale = tl.load(b_scale_ptr + columns, mask=columns < n, other=0.0)
        scaled = total.to(tl.float32) * a_scale[:, None] * b_scale[None, :]
        place = c_ptr + rows[:, None].to(tl.int64) * n + columns[None, :]
        tl.store(place, scaled, mask=(rows < m)[:, None] & (columns < n)[None, :])


def triton_int8_gemm(
    a: Tensor, b: Tensor, a_scale: Tensor, b_scale: Tensor, config: Config | None = None
) -> Tensor:
    """As ``naive_int8_gemm``; all contiguous."""
    (m, k), n = a.shape, len(b)
    config = config or config_for(m)
    out = torch.empty(m, n, device=a.device)
    int8_gemm_tile[(tile_count(m, n, config.tile_m, config.tile_n),)](
        *(a, b, a_scale, b_scale, out, m, n, k),
        TILE_M=config.tile_m,
        TILE_N=config.tile_n,
        TILE_K=config.tile_k,
        GROUP=config.group,
        num_warps=config.warps,
        num_stages=config.stages,
    )
    return out


def config_for(m: int) -> Config:
    """Half the bytes of 16-bit tiles: twice as deep in the same shared memory."""
    if m <= 16:
        return Config(16, 64, 128)
    return Config(64, 64, 128) if m <= 64 else Config(128, 128, 64)


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    m, n, k = case["m"], case["n"], case["k"]
    return {
        "a": make.integers(-127, 128, m, k, dtype=torch.int8),
        "b": make.integers(-127, 128, n, k, dtype=torch.int8),
        "a_scale": make.placed(torch.rand(m, generator=make.generator) / 127),
        "b_scale": make.placed(torch.rand(n, generator=make.generator) / 127),
    }


def work(case: Case) -> Work:
    """Of whole tiles."""
    m, n, k = case["m"], case["n"], case["k"]
    config = config_for(m)
    across, down = -(-n // config.tile_n), -(-m // config.tile_m)
    return Work(
        read=m * k + k * n + (m + n) * _SCALE_BYTES,
        written=m * n * _OUT_BYTES,
        matrix_flops=gemm_flops(m, n, k),
        vector_flops=2 * m * n,
        loaded=m * k * across + k * n * down + (m * across + n * down) * _SCALE_BYTES,
    )


def _case(m: int, n: int, k: int) -> Case:
    return Case({"m": m, "n": n, "k": k})


OPERATOR = Operator(
    name="int8_gemm",
    title=Text(zh="INT8 GEMM（每 token、每通道缩放）", en="INT8 GEMM (scales by token and channel)"),
    inputs=inputs,
    naive=naive_int8_gemm,
    triton=triton_int8_gemm if HAS_TRITON else None,
    fast=fast_int8_gemm,
    work=work,
    odd=(_case(1, 63, 100), _case(100, 130, 65)),
    aligned=(_case(64, 64, 256), _case(128, 128, 64)),
    shipped=(_case(1024, 1024, 1024), _case(8, 1024, 1024)),
    multiplies_matrices=True,
)
