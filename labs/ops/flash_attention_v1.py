"""FlashAttention in its first loop order: the keys outside, the queries inside, O in memory.

A program has one whole head (Dao et al., 2205.14135, algorithm 1): it holds a tile of K and V and walks over
all queries, for each of which it loads what O, maximum and sum were, and stores what they are now. O is
normalised after every tile. ``flash_attention`` exchanges the loops, and is what one ships: this order moves
more and gives a GPU a program a head only. Shapes as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.flash_attention import Tile, keys_outer
from labs.ops.flash_attention import (
    LOG2_E,
    MOST_DIM,
    attention_inputs,
    fast_flash_attention,
    naive_flash_attention,
    shape_of,
)
from labs.ops.operator import HAS_TRITON, Case, Operator, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

ROWS, TILE = 64, 64

if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def attend_head(  # type: ignore[no-untyped-def]
        q_ptr,  # [B, H, T, D]
        k_ptr,  # [B, K, S, D]
        v_ptr,  # [B, K, S, D]
        out_ptr,  # [B, H, T, D]: O, normalised over the keys so far
        most_ptr,  # [B, H, T] fp32: largest score so far
        total_ptr,  # [B, H, T] fp32: sum of the weights so far
        queries,
        keys,
        scale,  # 1 / sqrt(D), times log2(e)
        GROUP: tl.constexpr,
        CAUSAL: tl.constexpr,
        D: tl.constexpr,
        WIDTH: tl.constexpr,  # D, up to a power of two
        ROWS: tl.constexpr,
        TILE: tl.constexpr,
    ):
        head = tl.program_id(0).to(tl.int64)
        dims, tile = tl.arange(0, WIDTH), tl.arange(0, TILE)
        q_ptr += head * queries * D
        out_ptr += head * queries * D
        k_ptr += head // GROUP * keys * D
        v_ptr += head // GROUP * keys * D
        for start in range(0, keys, TILE):
            key = start + tile
            inside = (key < keys)[:, None] & (dims < D)[None, :]
            k = tl.load(k_ptr + key[:, None] * D + dims[None, :], mask=inside, other=0.0)
            v = tl.load(v_ptr + key[:, None] * D + dims[None, :], mask=inside, other=0.0)
            begin = 0
            if CAUSAL:  # the first block of queries that sees this tile
                begin = tl.maximum(0, start - (keys - queries)) // ROWS * ROWS
            for low in range(begin, queries, ROWS):
                row = low + tl.arange(0, ROWS)
                real, written = row < queries, (row < queries) & (start > 0)
                own, held = real[:, None] & (dims < D)[None, :], written[:, None] & (dims < D)[None, :]
                place = row[:, None] * D + dims[None, :]
                q = tl.load(q_ptr + place, mask=own, other=0.0)
                out = tl.load(out_ptr + place, mask=held, other=0.0).to(tl.float32)
                most = tl.load(most_ptr + head * queries + row, mask=written, other=float("-inf"))
                total = tl.load(total_ptr + head * queries + row, mask=written, other=0.0)
                scores = tl.dot(q, tl.trans(k), input_precision="ieee")
                seen = (key < keys)[None, :]
                if CAUSAL:
                    seen = seen & (key[None, :] <= (row + keys - queries)[:, None])
                scores = tl.where(seen, scores, float("-inf"))
                here = tl.max(scores, 1) * scale
                # A row that sees nothing of this tile has -inf, and -inf - -inf would be NaN.
                base = tl.where(here == float("-inf"), 0.0, here)
                weights = tl.exp2(scores * scale - base[:, None])
                now = tl.maximum(most, here)
                old, new = tl.exp2(most - now) * total, tl.exp2(here - now)
                total = old + new * tl.sum(weights, 1)
                mixed = tl.dot(weights.to(v.dtype), v, input_precision="ieee")
                out = (out * old[:, None] + mixed * new[:, None]) / total[:, None]
                tl.store(out_ptr + place, out.to(out_ptr.dtype.element_ty), mask=own)
                tl.store(most_ptr + head * queries + row, now, mask=real)
                tl.store(total_ptr + head * queries + row, total, mask=real)
            tl.debug_barrier()  # what one thread stored another may load for the next tile


def triton_flash_attention_v1(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = False, rows: int = ROWS, tile: int = TILE
) -> Tensor:
    """As ``naive_flash_attention``, in the type of ``q``, to which O is rounded after every tile."""
    batch, heads, queries, dim = q.shape
    kv_heads, keys = k.shape[1:3]
    if dim > MOST_DIM or heads % kv_heads or (causal and queries > keys):
        raise ValueError(f"q {list(q.shape)}, k {list(k.shape)}, causal {causal}")
    out = torch.empty_like(q)
    most, total = (torch.empty(q.shape[:3], dtype=torch.float32, device=q.device) for _ in range(2))
    attend_head[(batch * heads,)](
        *(q, k, v, out, most, total, queries, keys, LOG2_E * dim**-0.5),
        GROUP=heads // kv_heads,
        CAUSAL=causal,
        D=dim,
        WIDTH=max(16, triton.next_power_of_2(dim)),
        ROWS=rows,
        TILE=tile,
        num_warps=8 if dim > 64 else 4,
        num_stages=1,  # no load may run ahead of the stores before it
    )
    return out


def work(case: Case) -> Work:
    found = keys_outer(shape_of(case), Tile(ROWS, TILE), case.element_bytes, causal=bool(case["causal"]))
    return Work(
        found.read,
        found.written,
        matrix_flops=found.matrix_flops,
        vector_flops=found.vector_flops,
        loaded=found.loaded,
        stored=found.stored,
    )


def _case(
    heads: int, kv_heads: int, queries: int, keys: int, dim: int, causal: int, dtype: Any = "fp32"
) -> Case:
    sizes = {"batch": 1, "heads": heads, "kv_heads": kv_heads, "queries": queries, "keys": keys}
    return Case(sizes | {"dim": dim, "causal": causal}, dtype)


OPERATOR = Operator(
    name="flash_attention_v1",
    title=Text(zh="FlashAttention v1 的循环序", en="FlashAttention, the loop order of v1"),
    inputs=attention_inputs,
    naive=naive_flash_attention,
    triton=triton_flash_attention_v1 if HAS_TRITON else None,
    fast=fast_flash_attention,
    work=work,
    odd=(
        _case(3, 1, 63, 100, 64, 0),
        _case(2, 2, 130, 130, 80, 1),
        _case(2, 1, 65, 200, 128, 1, "fp16"),
    ),
    aligned=(_case(2, 1, 64, 128, 64, 0), _case(1, 1, 128, 128, 32, 1), _case(1, 1, 64, 64, 64, 0)),
    shipped=(_case(4, 4, 1024, 1024, 64, 0, "fp16"), _case(8, 2, 1024, 1024, 128, 1, "bf16")),
    multiplies_matrices=True,
)
