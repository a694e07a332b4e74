"""Residual, RMSNorm and INT8 quantisation by row in one kernel: what stands before a W8A8 product.

Shapes: ``x, residual [rows, columns]``, ``weight [columns]``; gives codes ``[rows, columns]`` int8, their
scales ``[rows]`` fp32, and the sum, the next block's residual. A row's scale is its largest normed value over
127 (symmetric, per token: SmoothQuant, arXiv:2211.10438, section 2), so a row must be normed before any of it
is quantised: one program holds it whole. Codes are rounded half away from zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import LEAST_MAGNITUDE, norm_quantise_bytes, norm_quantise_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.ops.rms_norm import EPSILON, naive_rms_norm
from labs.ops.softmax import warps_for
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor


def naive_norm_quantise(x: Tensor, weight: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum, norm, scale, codes, each by itself, in fp32."""
    normed, total = naive_rms_norm(x, weight, residual)
    scale = normed.abs().amax(dim=1).clamp(min=LEAST_MAGNITUDE) / 127
    steps = normed / scale[:, None]
    codes = (steps + torch.where(steps >= 0, 0.5, -0.5)).trunc().to(torch.int8)
    return codes, scale, total


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def norm_quantise_rows(  # type: ignore[no-untyped-def]
        x_ptr,  # [rows, columns]
        residual_ptr,  # [rows, columns]
        weight_ptr,  # [columns]
        codes_ptr,  # [rows, columns] int8
        scale_ptr,  # [rows]
        total_ptr,  # [rows, columns]
        columns,
        epsilon,
        least,
        WIDTH: tl.constexpr,  # columns, up to a power of two
    ):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, WIDTH)
        inside = column < columns
        at = row * columns + column
        x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        x += tl.load(residual_ptr + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(total_ptr + at, x.to(total_ptr.dtype.element_ty), mask=inside)
        factor = 1.0 / tl.sqrt(tl.sum(x * x, 0) / columns + epsilon)
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        normed = x * factor * weight
        scale = tl.maximum(tl.max(tl.abs(normed), 0), least) / 127.0
        steps = normed / scale
        codes = (steps + tl.where(steps >= 0, 0.5, -0.5)).to(tl.int8)  # the cast cuts towards zero
        tl.store(codes_ptr + at, codes, mask=inside)
        tl.store(scale_ptr + row, scale)


def triton_norm_quantise(
    x: Tensor, weight: Tensor, residual: Tensor, epsilon: float = EPSILON
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``naive_norm_quantise``, the sum in the type of ``x``; all contiguous."""
    rows, columns = x.shape
    codes, total = torch.empty_like(x, dtype=torch.int8), torch.empty_like(x)
    scale, width = torch.empty(rows, device=x.device), triton.next_power_of_2(columns)
    norm_quantise_rows[(rows,)](
        *(x, residual, weight, codes, scale, total, columns, epsilon, LEAST_MAGNITUDE),
        WIDTH=width,
        num_warps=warps_for(width),
    )
    return codes, scale, total


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    rows, columns = case["rows"], case["columns"]
    return {
        "x": make.normal(rows, columns),
        "weight": make.normal(columns),
        "residual": make.normal(rows, columns),
    }


def work(case: Case) -> Work:
    rows, columns = case["rows"], case["columns"]
    read, written = norm_quantise_bytes(rows, columns, case.element_bytes)
    again = (rows - 1) * columns * case.element_bytes  # each row loads the weight
    return Work(read, written, vector_flops=norm_quantise_flops(rows, columns), loaded=read + again)


def _case(rows: int, columns: int, dtype: Any = "fp32") -> Case:
    return Case({"rows": rows, "columns": columns}, dtype)


OPERATOR = Operator(
    name="norm_quantise",
    title=Text(zh="残差 + RMSNorm + INT8 量化", en="Residual, RMSNorm and INT8 quantisation"),
    inputs=inputs,
    naive=naive_norm_quantise,
    triton=triton_norm_quantise if HAS_TRITON else None,
    work=work,
    odd=(_case(5, 577), _case(4, 130, "fp16")),
    aligned=(_case(8, 256),),
    shipped=(_case(256, 4096, "bf16"),),
    # A code that lies between two by a rounding differs by one: 1 of about 40, in one element of thousands.
    tolerance={"fp32": 1e-3, "fp16": 2e-3, "bf16": 1.6e-2},
)
