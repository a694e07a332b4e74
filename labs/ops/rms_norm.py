"""RMSNorm over rows, alone and fused with the residual's addition before it.

Shapes: ``x, residual [rows, columns]``, ``weight [columns]``. With a residual the sum is written as well: it
is the next block's residual. (Zhang and Sennrich, "Root Mean Square Layer Normalization", NeurIPS 2019.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import rms_norm_bytes, rms_norm_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.ops.softmax import warps_for
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-5


def naive_rms_norm(x: Tensor, weight: Tensor, residual: Tensor | None = None) -> Any:
    """The definition in fp32; with a residual, the norm of the sum and the sum."""
    total = x.float() if residual is None else x.float() + residual.float()
    normed = total * (total.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt() * weight.float()
    return normed if residual is None else (normed, total)


def fast_rms_norm(x: Tensor, weight: Tensor, residual: Tensor | None = None) -> Any:
    """torch's own; a residual costs a pass of its own."""
    if residual is None:
        return torch.nn.functional.rms_norm(x, x.shape[1:], weight, EPSILON)
    total = x + residual
    return torch.nn.functional.rms_norm(total, x.shape[1:], weight, EPSILON), total


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def rms_norm_rows(  # type: ignore[no-untyped-def]
        x_ptr,  # [rows, columns]
        residual_ptr,  # [rows, columns], not touched without RESIDUAL
        weight_ptr,  # [columns]
        out_ptr,  # [rows, columns]
        total_ptr,  # [rows, columns], not touched without RESIDUAL
        columns,
        epsilon,
        RESIDUAL: tl.constexpr,
        WIDTH: tl.constexpr,  # columns, up to a power of two
    ):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, WIDTH)
        inside = column < columns
        at = row * columns + column
        x = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        if RESIDUAL:
            x += tl.load(residual_ptr + at, mask=inside, other=0.0).to(tl.float32)
            tl.store(total_ptr + at, x.to(total_ptr.dtype.element_ty), mask=inside)
        factor = 1.0 / tl.sqrt(tl.sum(x * x, 0) / columns + epsilon)
        weight = tl.load(weight_ptr + column, mask=inside, other=0.0).to(tl.float32)
        tl.store(out_ptr + at, (x * factor * weight).to(out_ptr.dtype.element_ty), mask=inside)


def triton_rms_norm(
    x: Tensor, weight: Tensor, residual: Tensor | None = None, epsilon: float = EPSILON
) -> Any:
    """As ``naive_rms_norm``, in the type of ``x``; all contiguous."""
    rows, columns = x.shape
    out, width = torch.empty_like(x), triton.next_power_of_2(columns)
    total = out if residual is None else torch.empty_like(x)
    rms_norm_rows[(rows,)](
        *(x, x if residual is None else residual, weight, out, total, columns, epsilon),
        RESIDUAL=residual is not None,
        WIDTH=width,
        num_warps=warps_for(width),
    )
    return out if residual is None else (out, total)


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    rows, columns = case["rows"], case["columns"]
    made = {"x": make.normal(rows, columns), "weight": make.normal(columns)}
    return made | ({"residual": make.normal(rows, columns)} if case["residual"] else {})


def work(case: Case) -> Work:
    rows, columns, residual = case["rows"], case["columns"], bool(case["residual"])
    read, written = rms_norm_bytes(rows, columns, case.element_bytes, residual=residual)
    again = (rows - 1) * columns * case.element_bytes  # each row loads the weight
    flops = rms_norm_flops(rows, columns, residual=residual)
    return Work(read, written, vector_flops=flops, loaded=read + again)


def _case(rows: int, columns: int, residual: int, dtype: Any = "fp32") -> Case:
    return Case({"rows": rows, "columns": columns, "residual": residual}, dtype)


OPERATOR = Operator(
    name="rms_norm",
    title=Text(zh="RMSNorm（可融合残差）", en="RMSNorm (residual fused or not)"),
    inputs=inputs,
    naive=naive_rms_norm,
    triton=triton_rms_norm if HAS_TRITON else None,
    fast=fast_rms_norm,
    work=work,
    odd=(_case(3, 1, 0), _case(5, 577, 1), _case(4, 130, 1, "fp16")),
    aligned=(_case(8, 256, 0), _case(8, 512, 1)),
    shipped=(_case(256, 4096, 1, "bf16"), _case(64, 576, 0, "fp32")),
)
