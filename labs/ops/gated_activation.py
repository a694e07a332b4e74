"""SwiGLU and GEGLU: the activation of one half of a projection times the other half, in one pass.

Shapes: ``gate_up [rows, 2 * columns]``, gate first, as a fused projection leaves it; gives ``[rows,
columns]``. (Shazeer, arXiv:2002.05202.) GELU is the exact one, by erf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import gated_bytes, gated_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

TILE = 1024
ACTIVATIONS = ("silu", "gelu")  # by their number in a case


def naive_gated(gate_up: Tensor, gelu: bool) -> Tensor:
    """The definition in fp32, a step at a time."""
    gate, up = gate_up.float().chunk(2, dim=1)
    activated = gate * 0.5 * (1 + torch.erf(gate / 2**0.5)) if gelu else gate / (1 + (-gate).exp())
    return activated * up


def fast_gated(gate_up: Tensor, gelu: bool) -> Tensor:
    """torch's own activation, then a product: two passes."""
    gate, up = gate_up.chunk(2, dim=1)
    return (torch.nn.functional.gelu(gate) if gelu else torch.nn.functional.silu(gate)) * up


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def gated_tile(  # type: ignore[no-untyped-def]
        gate_up_ptr,  # [rows, 2 * columns]
        out_ptr,  # [rows, columns]
        columns,
        GELU: tl.constexpr,
        TILE: tl.constexpr,
    ):
        row = tl.program_id(0).to(tl.int64)
        column = tl.program_id(1) * TILE + tl.arange(0, TILE)
        inside = column < columns
        at = gate_up_ptr + row * 2 * columns + column
        gate = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        up = tl.load(at + columns, mask=inside, other=0.0).to(tl.float32)
        if GELU:
            activated = gate * (0.5 * (1.0 + tl.erf(gate * 0.7071067811865476)))
        else:
            activated = gate / (1.0 + tl.exp(0.0 - gate))
        tl.store(out_ptr + row * columns + column, (activated * up).to(out_ptr.dtype.element_ty), mask=inside)


def triton_gated(gate_up: Tensor, gelu: bool) -> Tensor:
    """As ``naive_gated``, in the type of ``gate_up``, which is contiguous."""
    rows, columns = gate_up.shape[0], gate_up.shape[1] // 2
    out = torch.empty((rows, columns), dtype=gate_up.dtype, device=gate_up.device)
    tile = min(TILE, triton.next_power_of_2(columns))
    gated_tile[rows, triton.cdiv(columns, tile)](gate_up, out, columns, GELU=gelu, TILE=tile)
    return out


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"gate_up": make.normal(case["rows"], 2 * case["columns"]), "gelu": bool(case["gelu"])}


def work(case: Case) -> Work:
    rows, columns = case["rows"], case["columns"]
    read, written = gated_bytes(rows, columns, case.element_bytes)
    return Work(read, written, vector_flops=gated_flops(rows, columns, ACTIVATIONS[case["gelu"]]))


def _case(rows: int, columns: int, gelu: int, dtype: Any = "fp32") -> Case:
    return Case({"rows": rows, "columns": columns, "gelu": gelu}, dtype)


OPERATOR = Operator(
    name="gated_activation",
    title=Text(zh="SwiGLU / GEGLU", en="SwiGLU and GEGLU"),
    inputs=inputs,
    naive=naive_gated,
    triton=triton_gated if HAS_TRITON else None,
    fast=fast_gated,
    work=work,
    odd=(_case(3, 1537, 0), _case(3, 100, 1, "fp16")),
    aligned=(_case(4, 1024, 0), _case(4, 1024, 1)),
    shipped=(_case(64, 14336, 0, "bf16"), _case(64, 1536, 1, "fp16")),
)
