"""Grouped GEMM of a mixture of experts: each expert's tokens times its own weight, all experts in one launch.

Shapes: ``x [tokens, k]`` sorted by expert, ``weight [experts, k, n]``, ``ends [experts]`` int32: where each
expert's tokens end; gives ``[tokens, n]``. The grid has tiles enough for the worst case, every expert with a
ragged tile of its own; a program finds its expert and tile by adding up tiles of the experts before it, and
one beyond the last has nothing to do. So sizes that only the device knows need no word from the host. (The
idea of MegaBlocks: Gale et al., arXiv:2211.15841, and of Triton's grouped GEMM tutorial.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import grouped_bytes
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

TILE_M, TILE_N, TILE_K = 32, 64, 32


def naive_grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """An expert after the other, in fp32."""
    begins = [0, *ends.tolist()[:-1]]
    parts = [
        x[begin:end].float() @ expert.float()
        for begin, end, expert in zip(begins, ends.tolist(), weight, strict=True)
    ]
    return torch.cat(parts)


def fast_grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """torch's product for each expert that has tokens, into one result."""
    out, begin = x.new_empty(len(x), weight.shape[2]), 0
    for expert, end in enumerate(ends.tolist()):
        if end > begin:
            torch.mm(x[begin:end], weight[expert], out=out[begin:end])
        begin = end
    return out


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def grouped_tile(  # type: ignore[no-untyped-def]
        x_ptr,  # [tokens, depth]
        weight_ptr,  # [experts, depth, width]
        ends_ptr,  # [experts]
        out_ptr,  # [tokens, width]
        experts,
        depth,
        width,
        TILE_M: tl.constexpr,
        TILE_N: tl.constexpr,
        TILE_K: tl.constexpr,
    ):
        tile, found, begin, end, before = tl.program_id(0), -1, 0, 0, 0
        first = 0  # token of this tile
        for expert in range(experts):
            end = tl.load(ends_ptr + expert)
            tiles = tl.cdiv(end - begin, TILE_M)
            if tile >= before and tile < before + tiles:
                found = expert
                first = begin + (tile - before) * TILE_M
            before += tiles
            begin = end
        if found >= 0:
            last = tl.load(ends_ptr + found)
            token, column = first + tl.arange(0, TILE_M), tl.program_id(1) * TILE_N + tl.arange(0, TILE_N)
            step = tl.arange(0, TILE_K)
            total = tl.zeros((TILE_M, TILE_N), tl.float32)
            mine = weight_ptr + tl.cast(found, tl.int64) * depth * width
            for start in range(0, depth, TILE_K):
                k = start + step
                rows = (token < last)[:, None] & (k < depth)[None, :]
                columns = (k < depth)[:, None] & (column < width)[None, :]
                x = tl.load(x_ptr + token[:, None] * depth + k[None, :], mask=rows, other=0.0)
                w = tl.load(mine + k[:, None] * width + column[None, :], mask=columns, other=0.0)
                total = tl.dot(x, w, total, input_precision="ieee")
            held = (token < last)[:, None] & (column < width)[None, :]
            place = out_ptr + token[:, None] * width + column[None, :]
            tl.store(place, total.to(out_ptr.dtype.element_ty), mask=held)


def triton_grouped(x: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """As ``naive_grouped``, in the type of ``x``; all contiguous."""
    (tokens, depth), (experts, _, width) = x.shape, weight.shape
    out = torch.empty((tokens, width), dtype=x.dtype, device=x.device)
    most = triton.cdiv(tokens, TILE_M) + experts
    grouped_tile[most, triton.cdiv(width, TILE_N)](
        *(x, weight, ends, out, experts, depth, width),
        TILE_M=TILE_M,
        TILE_N=TILE_N,
        TILE_K=TILE_K,
        num_warps=4,
        num_stages=3,
    )
    return out


def ends_of(case: Case) -> list[int]:
    """Experts with more and more tokens, the first with none: ragged, as routing leaves them."""
    tokens, experts = case["tokens"], case["experts"]
    pairs = experts * (experts - 1) // 2
    return [tokens * (expert * (expert + 1) // 2) // pairs for expert in range(experts)]


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    tokens, experts, k, n = (case[name] for name in ("tokens", "experts", "k", "n"))
    return {
        "x": make.normal(tokens, k),
        "weight": make.normal(experts, k, n, scale=k**-0.5),
        "ends": make.placed(torch.tensor(ends_of(case), dtype=torch.int32)),
    }


def work(case: Case) -> Work:
    tokens, experts, k, n = (case[name] for name in ("tokens", "experts", "k", "n"))
    ends = ends_of(case)
    counts = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    tiles, columns = sum(-(-count // TILE_M) for count in counts), -(-n // TILE_N)
    moved = grouped_bytes(counts, k, n, case.element_bytes)
    programs = (-(-tokens // TILE_M) + experts) * columns
    ends_loaded = 4 * (programs * experts + tiles * columns)
    loaded = (tokens * k * columns + tiles * k * n) * case.element_bytes + ends_loaded
    return Work(moved[0], moved[1], matrix_flops=2 * tiles * TILE_M * k * n, loaded=loaded)


def _case(tokens: int, experts: int, k: int, n: int, dtype: Any = "fp32") -> Case:
    return Case({"tokens": tokens, "experts": experts, "k": k, "n": n}, dtype)


OPERATOR = Operator(
    name="grouped_gemm",
    title=Text(zh="分组 GEMM（MoE 专家）", en="Grouped GEMM (experts)"),
    inputs=inputs,
    naive=naive_grouped,
    triton=triton_grouped if HAS_TRITON else None,
    fast=fast_grouped,
    work=work,
    odd=(_case(53, 4, 40, 70), _case(37, 3, 50, 33, "fp16")),
    aligned=(_case(96, 3, 64, 128),),
    shipped=(_case(512, 8, 4096, 1792, "bf16"),),
    multiplies_matrices=True,
)
