"""One decode step over a paged cache: q [sequences, heads, D], keys and values [slots, D] in blocks of BLOCK.

A sequence's position p lies in slot table[sequence, p // BLOCK] * BLOCK + p % BLOCK. All heads share the keys
and values (multi-query attention), so that a program serves a sequence with all its heads.
"""

import torch
import triton
import triton.language as tl

BLOCK = 16


@triton.jit
def paged_attention(
    q_ptr, key_ptr, value_ptr, table_ptr, length_ptr, out_ptr, table_width, scale,
    TILE: tl.constexpr, HEADS: tl.constexpr, D: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sequence = tl.program_id(0)
    length = tl.load(length_ptr + sequence)
    head, dims = tl.arange(0, HEADS), tl.arange(0, D)
    place = (sequence * HEADS + head)[:, None] * D + dims[None, :]
    q = tl.load(q_ptr + place)
    most = tl.full((HEADS,), float("-inf"), tl.float32)
    total = tl.zeros((HEADS,), tl.float32)
    mixed = tl.zeros((HEADS, D), tl.float32)
    for first in range(0, length, TILE):
        position = first + tl.arange(0, TILE)
        seen = position < length
        # [[ From position to block, from block to slot.
        block = tl.load(table_ptr + sequence * table_width + position // BLOCK, mask=seen, other=0)
        slot = block * BLOCK + position % BLOCK
        # ]]
        k = tl.load(key_ptr + slot[:, None] * D + dims[None, :], mask=seen[:, None], other=0.0)
        v = tl.load(value_ptr + slot[:, None] * D + dims[None, :], mask=seen[:, None], other=0.0)
        # [[ Scores, -inf where no position is; then the online softmax as in FlashAttention.
        scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        scores = tl.where(seen[None, :], scores, float("-inf"))
        now = tl.maximum(most, tl.max(scores, 1))
        shrink, weights = tl.exp(most - now), tl.exp(scores - now[:, None])
        total = total * shrink + tl.sum(weights, 1)
        mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
        most = now
        # ]]
    tl.store(out_ptr + place, (mixed / total[:, None]).to(out_ptr.dtype.element_ty))


def launch(q, keys, values, table, length, *, tile, warps, stages):
    sequences, heads, D = q.shape
    out = torch.empty_like(q)
    sizes = {"TILE": tile, "HEADS": heads, "D": D, "BLOCK": BLOCK}
    options = {"num_warps": warps, "num_stages": stages}
    pointers = (q, keys, values, table, length, out)
    paged_attention[(sequences,)](*pointers, table.shape[1], D**-0.5, **sizes, **options)
    return out
