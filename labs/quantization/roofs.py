"""The two roofs of this device, measured: how fast memory is read, and how fast matrices are multiplied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F

from labs.caches import last_level_cache_bytes
from labs.formulas.memory import gemm_flops
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from labs.context import Context
    from labs.measure import Timing

Compute = Literal["fp32", "bf16", "int8"]

_GEMM_SIZE = 1024


def read_bandwidth(ctx: Context, budget_s: float = 0.3) -> float:
    """Bytes/s of reading a buffer four times the last-level cache once, by the faster of two reductions."""
    size = max(256 * 2**20, 4 * last_level_cache_bytes(ctx.device))
    ctx.reserve(size, Text(zh="带宽测试的缓冲区", en="the buffer that bandwidth is measured on"))
    buffer = torch.ones(size // 4, device=ctx.device)
    calls: tuple[Callable[[], object], ...] = (buffer.sum, buffer.amax)
    return size / min(ctx.measure(call, budget_s=budget_s / 2).low_s for call in calls)


def gemm_peak(ctx: Context, compute: Compute, budget_s: float = 0.2) -> float:
    """FLOP/s (or integer operations/s) of a ``1024**3`` product by the kernels that linear layers use."""
    return gemm_flops(_GEMM_SIZE, _GEMM_SIZE, _GEMM_SIZE) / _gemm_timing(ctx, compute, budget_s).low_s


def _gemm_timing(ctx: Context, compute: Compute, budget_s: float) -> Timing:
    size = _GEMM_SIZE
    if compute == "int8":
        from labs.quantization.linear import int8_dynamic

        layer = int8_dynamic(torch.randn(size, size), ctx.device)
        x = torch.randn(size, size, device=ctx.device)
        return ctx.measure(lambda: layer(x), budget_s=budget_s)
    dtype = torch.float32 if compute == "fp32" else torch.bfloat16
    a = torch.randn(size, size, device=ctx.device).to(dtype)
    return ctx.measure(lambda: F.linear(a, a), budget_s=budget_s)
