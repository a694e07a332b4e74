"""Softmax over rows: each row is loaded once, kept on the chip, and stored once.

Shapes: ``x [rows, columns]``; a program has one row, whole, in a power of two of lanes. A row too wide for
the registers (a vocabulary) is read twice, a tile at a time: once for its maximum and sum, which are kept up
to date as they grow (Milakov and Gimelshein, arXiv:1805.02867), once to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import softmax_bytes, softmax_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

WIDEST = 1 << 14  # a wider row does not stay in registers
TILE = 1 << 12  # of a wider row


def naive_softmax(x: Tensor) -> Tensor:
    """The definition, with the row's maximum subtracted so that nothing overflows; in fp32."""
    shifted = x.float() - x.float().amax(dim=1, keepdim=True)
    powers = shifted.exp()
    return powers / powers.sum(dim=1, keepdim=True)


def fast_softmax(x: Tensor) -> Tensor:
    """torch's own, one pass over each row."""
    return x.softmax(dim=1)


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def softmax_rows(  # type: ignore[no-untyped-def]
        x_ptr,  # [rows, columns]
        out_ptr,  # [rows, columns]
        columns,
        WIDTH: tl.constexpr,  # columns, up to a power of two
    ):
        row = tl.program_id(0).to(tl.int64)
        column = tl.arange(0, WIDTH)
        inside = column < columns
        x = tl.load(x_ptr + row * columns + column, mask=inside, other=float("-inf")).to(tl.float32)
        powers = tl.exp(x - tl.max(x, 0))
        share = powers / tl.sum(powers, 0)
        tl.store(out_ptr + row * columns + column, share.to(out_ptr.dtype.element_ty), mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def softmax_wide_rows(x_ptr, out_ptr, columns, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
        row = tl.program_id(0).to(tl.int64)
        tile = tl.arange(0, TILE)
        most, total = float("-inf"), 0.0
        for first in range(0, columns, TILE):
            inside = first + tile < columns
            x = tl.load(x_ptr + row * columns + first + tile, mask=inside, other=float("-inf")).to(tl.float32)
            now = tl.maximum(most, tl.max(x, 0))
            total = total * tl.exp(most - now) + tl.sum(tl.exp(x - now), 0)
            most = now
        for first in range(0, columns, TILE):
            inside = first + tile < columns
            x = tl.load(x_ptr + row * columns + first + tile, mask=inside, other=0.0).to(tl.float32)
            share = tl.exp(x - most) / total
            tl.store(out_ptr + row * columns + first + tile, share.to(out_ptr.dtype.element_ty), mask=inside)


def triton_softmax(x: Tensor) -> Tensor:
    """As ``naive_softmax``, in the type of ``x``, which is contiguous."""
    rows, columns = x.shape
    out, width = torch.empty_like(x), triton.next_power_of_2(columns)
    if width <= WIDEST:
        softmax_rows[(rows,)](x, out, columns, WIDTH=width, num_warps=warps_for(width))
    else:
        softmax_wide_rows[(rows,)](x, out, columns, TILE=TILE, num_warps=warps_for(TILE))
    return out


def warps_for(width: int) -> int:
    """Warps for a row, so that a thread has about 8 to 32 of its elements."""
    return min(16, max(1, width // 512))


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"x": make.normal(case["rows"], case["columns"], scale=3)}


def work(case: Case) -> Work:
    rows, columns = case["rows"], case["columns"]
    read, written = softmax_bytes(rows, columns, case.element_bytes)
    tiles = columns // TILE if columns > WIDEST else 0
    flops = softmax_flops(rows, columns, tiles=tiles)
    return Work(read, written, vector_flops=flops, loaded=2 * read if tiles else read)


def _case(rows: int, columns: int, dtype: Any = "fp32") -> Case:
    return Case({"rows": rows, "columns": columns}, dtype)


OPERATOR = Operator(
    name="softmax",
    title=Text(zh="Softmax（按行）", en="Softmax (row-wise)"),
    inputs=inputs,
    naive=naive_softmax,
    triton=triton_softmax if HAS_TRITON else None,
    fast=fast_softmax,
    work=work,
    odd=(_case(3, 1), _case(5, 777), _case(2, 20_000), _case(4, 130, "fp16")),
    aligned=(_case(8, 256), _case(1, 8 * TILE)),
    shipped=(_case(256, 4096, "fp16"), _case(256, 1000, "fp32"), _case(64, 49152, "bf16")),
)
