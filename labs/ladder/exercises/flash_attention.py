"""Causal attention for q, k, v [heads, length, D] without the matrix of scores: a tile of queries a program.

As tiles of keys pass, each query keeps the largest score so far, the sum of its weights relative to that, and
the weighted sum of values; when the largest grows, what was summed shrinks (FlashAttention-2, Algorithm 1).
"""

import torch
import triton
import triton.language as tl


@triton.jit
def flash_attention(
    q_ptr, k_ptr, v_ptr, out_ptr, length, scale,
    TILE_M: tl.constexpr, TILE_N: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * TILE_M
    base = tl.program_id(1) * length * D
    dims = tl.arange(0, D)
    query = first + tl.arange(0, TILE_M)
    q = tl.load(q_ptr + base + query[:, None] * D + dims[None, :], mask=(query < length)[:, None], other=0.0)
    most = tl.full((TILE_M,), float("-inf"), tl.float32)
    total = tl.zeros((TILE_M,), tl.float32)
    mixed = tl.zeros((TILE_M, D), tl.float32)
    # [[ How far must keys be read for this tile of queries? Causal: no key behind the last query.
    end = min(first + TILE_M, length)
    # ]]
    for start in range(0, end, TILE_N):
        key = start + tl.arange(0, TILE_N)
        held = (key < length)[:, None]
        k = tl.load(k_ptr + base + key[:, None] * D + dims[None, :], mask=held, other=0.0)
        v = tl.load(v_ptr + base + key[:, None] * D + dims[None, :], mask=held, other=0.0)
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(query[:, None] >= key[None, :], scores, float("-inf"))
        # [[ The online softmax: the new maximum, by what the old sums shrink, this tile's weights.
        now = tl.maximum(most, tl.max(scores, 1))
        shrink, weights = tl.exp(most - now), tl.exp(scores - now[:, None])
        total = total * shrink + tl.sum(weights, 1)
        mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        most = now
        # ]]
    out = (mixed / total[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + base + query[:, None] * D + dims[None, :], out, mask=(query < length)[:, None])


def launch(q, k, v, *, tile_m, tile_n, warps, stages):
    heads, length, D = q.shape
    out = torch.empty_like(q)
    grid = (triton.cdiv(length, tile_m), heads)
    tiles = {"TILE_M": tile_m, "TILE_N": tile_n, "D": D}
    flash_attention[grid](q, k, v, out, length, D**-0.5, **tiles, num_warps=warps, num_stages=stages)
    return out
