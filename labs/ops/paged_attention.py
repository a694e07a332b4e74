"""Paged attention for decode: the formula written out, and a Triton kernel that reads blocks in place.

One program attends for one sequence, one KV head and one part of the context, a tile of positions at a time
with an online softmax (FlashAttention's loop); where a tile's keys lie, the block table says (PagedAttention:
Kwon et al., SOSP 2023). Parts are merged by their log-sum-exp (Flash-Decoding: Dao et al., 2023), so that one
long sequence fills a GPU as well as many short ones. A tile need not be a block: any block size works.

Shapes: B sequences, H query heads, K KV heads, G = H / K, D head dim, M slots, W table entries, P parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.paged_attention import kernel_flops, kernel_traffic
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

TILE = 64  # positions at a time
ROWS = 16  # the least that a tensor core multiplies: the G queries of a KV head, filled up
MOST_PARTS = 16


def naive_paged_attention(
    q: Tensor, keys: Tensor, values: Tensor, tables: Tensor, lengths: Tensor, block: int
) -> Tensor:
    """``q [B, H, D]``, ``keys, values [K, M, D]``, ``tables [B, W]``, ``lengths [B]``; gives ``[B, H, D]``.

    One sequence and head after the other, in fp32. What lies behind a sequence's end is not touched.
    """
    out, group = torch.empty(q.shape, dtype=torch.float32, device=q.device), q.shape[1] // len(keys)
    for sequence, length in enumerate(lengths.tolist()):
        positions = torch.arange(length, device=q.device)
        slots = tables[sequence, positions // block].long() * block + positions % block
        for head in range(q.shape[1]):
            k, v = (part[head // group, slots].float() for part in (keys, values))
            weights = (k @ q[sequence, head].float() / q.shape[-1] ** 0.5).softmax(dim=0)
            out[sequence, head] = weights @ v
    return out


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def attend_part(  # type: ignore[no-untyped-def]
        q_ptr,  # [B, H, D]
        key_ptr,  # [K, M, D]
        value_ptr,  # [K, M, D]
        table_ptr,  # [B, W]
        length_ptr,  # [B]
        mixed_ptr,  # [B, H, P, D] fp32: this part's weighted sum of values
        most_ptr,  # [B, H, P] fp32: its largest score
        total_ptr,  # [B, H, P] fp32: the sum of its weights, relative to that
        scale,
        table_width,
        head_stride,  # numbers from one KV head to the next
        BLOCK: tl.constexpr,
        D: tl.constexpr,
        WIDTH: tl.constexpr,  # D, up to a power of two
        GROUP: tl.constexpr,
        ROWS: tl.constexpr,
        TILE: tl.constexpr,
    ):
        sequence, head, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
        parts, heads = tl.num_programs(2), tl.num_programs(1) * GROUP
        length = tl.load(length_ptr + sequence)
        begin, end = length * part // parts, length * (part + 1) // parts
        rows, dims, tile = tl.arange(0, ROWS), tl.arange(0, WIDTH), tl.arange(0, TILE)
        query = sequence * heads + head * GROUP + rows
        real = (rows < GROUP)[:, None] & (dims < D)[None, :]
        q = tl.load(q_ptr + query[:, None] * D + dims[None, :], mask=real, other=0.0)
        most = tl.full((ROWS,), float("-inf"), tl.float32)
        total = tl.zeros((ROWS,), tl.float32)
        mixed = tl.zeros((ROWS, WIDTH), tl.float32)
        for first in range(begin, end, TILE):
            positions = first + tile
            seen = positions < end
            block = tl.load(table_ptr + sequence * table_width + positions // BLOCK, mask=seen, other=0)
            at = head * head_stride + (block.to(tl.int64) * BLOCK + positions % BLOCK) * D
            # Masked: what lies in a block behind the end may be NaN, and 0 * NaN would spoil the sum.
            held = seen[:, None] & (dims < D)[None, :]
            k = tl.load(key_ptr + at[:, None] + dims[None, :], mask=held, other=0.0)
            v = tl.load(value_ptr + at[:, None] + dims[None, :], mask=held, other=0.0)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
            scores = tl.where(seen[None, :], scores, float("-inf"))
            now = tl.maximum(most, tl.max(scores, 1))
            shrink, weights = tl.exp(most - now), tl.exp(scores - now[:, None])
            total = total * shrink + tl.sum(weights, 1)
            mixed = mixed * shrink[:, None] + tl.dot(weights.to(v.dtype), v, input_precision="ieee")
            most = now
        place = query * parts + part
        tl.store(mixed_ptr + place[:, None] * D + dims[None, :], mixed, mask=real)
        tl.store(most_ptr + place, most, mask=rows < GROUP)
        tl.store(total_ptr + place, total, mask=rows < GROUP)

    @triton.jit  # type: ignore[untyped-decorator]
    def merge_parts(  # type: ignore[no-untyped-def]
        mixed_ptr,
        most_ptr,
        total_ptr,
        out_ptr,  # [B, H, D]
        parts,
        PARTS: tl.constexpr,  # P, up to a power of two
        D: tl.constexpr,
        WIDTH: tl.constexpr,
    ):
        row, part, dims = tl.program_id(0), tl.arange(0, PARTS), tl.arange(0, WIDTH)
        place, there = row * parts + part, part < parts
        most = tl.load(most_ptr + place, mask=there, other=float("-inf"))
        total = tl.load(total_ptr + place, mask=there, other=0.0)
        # A part without positions has -inf; the largest of all is finite, for a sequence has one token.
        share = tl.exp(most - tl.max(most, 0))
        held = there[:, None] & (dims < D)[None, :]
        mixed = tl.load(mixed_ptr + place[:, None] * D + dims[None, :], mask=held, other=0.0)
        merged = tl.sum(mixed * share[:, None], 0) / tl.sum(total * share, 0)
        tl.store(out_ptr + row * D + dims, merged.to(out_ptr.dtype.element_ty), mask=dims < D)


def triton_paged_attention(
    q: Tensor, keys: Tensor, values: Tensor, tables: Tensor, lengths: Tensor, block: int, parts: int = 1
) -> Tensor:
    """As ``naive_paged_attention``, by the kernel, in the type of ``q``; ``parts`` of each context at once.

    Needs Triton, and CUDA or its interpreter. ``tables`` and ``lengths`` are int32; ``keys`` and ``values``
    are a head's slots behind each other.
    """
    batch, heads, dim = q.shape
    group, width = heads // len(keys), triton.next_power_of_2(dim)
    if group > ROWS:
        raise ValueError(f"{group} query heads share a KV head; the kernel has {ROWS} rows")
    mixed = torch.empty(batch, heads, parts, dim, device=q.device)
    most, total = (torch.empty(batch, heads, parts, device=q.device) for _ in range(2))
    out = torch.empty_like(q)
    attend_part[batch, len(keys), parts](
        *(q, keys, values, tables, lengths, mixed, most, total),
        *(dim**-0.5, tables.stride(0), keys.stride(0)),
        BLOCK=block,
        D=dim,
        WIDTH=width,
        GROUP=group,
        ROWS=ROWS,
        TILE=TILE,
    )
    merge_parts[(batch * heads,)](
        *(mixed, most, total, out, parts), PARTS=triton.next_power_of_2(parts), D=dim, WIDTH=width
    )
    return out


def parts_for(items: int, longest: int, processors: int) -> int:
    """Parts of a context so that ``items`` (sequences times KV heads) occupy ``processors`` twice over."""
    most = min(MOST_PARTS, -(-longest // TILE))
    return max(1, min(most, -(-2 * processors // items)))


def lengths_of(case: Case) -> list[int]:
    """Sequences of different lengths, the last of them ``longest``."""
    return [case["longest"] * (index + 1) // case["sequences"] for index in range(case["sequences"])]


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    """Blocks scattered over the pool, NaN in every slot that no sequence has written."""
    lengths, block = lengths_of(case), case["block"]
    width = -(-case["longest"] // block)
    blocks = len(lengths) * width + 3
    tables = torch.randperm(blocks, generator=make.generator)[: len(lengths) * width]
    tables = tables.view(-1, width).int()
    written = torch.zeros(blocks * block, dtype=torch.bool)
    for row, length in zip(tables.long(), lengths, strict=True):
        positions = torch.arange(length)
        written[row[positions // block] * block + positions % block] = True
    keys, values = (make.normal(case["kv_heads"], len(written), case["head_dim"]) for _ in range(2))
    for part in (keys, values):
        part[:, ~written.to(part.device)] = torch.nan
    return {
        "q": make.normal(len(lengths), case["heads"], case["head_dim"]),
        "keys": keys,
        "values": values,
        "tables": make.placed(tables),
        "lengths": make.placed(torch.tensor(lengths, dtype=torch.int32)),
        "block": block,
        "parts": case["parts"],
    }


def naive(parts: int, **arguments: Any) -> Tensor:
    """``naive_paged_attention``, which has no parts."""
    return naive_paged_attention(**arguments)


def work(case: Case) -> Work:
    lengths, heads, dim = lengths_of(case), case["heads"], case["head_dim"]
    moved = kernel_traffic(
        lengths,
        heads=heads,
        kv_heads=case["kv_heads"],
        head_dim=dim,
        element_bytes=case.element_bytes,
        block_size=case["block"],
        parts=case["parts"],
    )
    matrix, vector = kernel_flops(
        lengths,
        heads=heads,
        kv_heads=case["kv_heads"],
        head_dim=dim,
        rows=ROWS,
        tile=TILE,
        parts=case["parts"],
    )
    return Work(moved.read, moved.written, matrix, vector, loaded=moved.loaded)


def _case(
    sequences: int,
    longest: int,
    heads: int,
    kv_heads: int,
    dim: int,
    block: int,
    parts: int,
    dtype: Any = "fp32",
) -> Case:
    sizes = {"sequences": sequences, "longest": longest, "heads": heads, "kv_heads": kv_heads}
    return Case(sizes | {"head_dim": dim, "block": block, "parts": parts}, dtype)


OPERATOR = Operator(
    name="paged_attention",
    title=Text(zh="PagedAttention 解码", en="Paged attention, decode"),
    inputs=inputs,
    naive=naive,
    triton=triton_paged_attention if HAS_TRITON else None,
    work=work,
    odd=(
        _case(3, 130, 9, 3, 64, 16, 1),
        _case(2, 100, 8, 1, 64, 7, 3),
        _case(1, 65, 4, 4, 80, 1, 4),
        _case(2, 130, 8, 2, 128, 32, 2, "fp16"),
    ),
    aligned=(_case(2, 128, 32, 2, 64, 16, 1),),
    shipped=(_case(4, 512, 32, 8, 128, 16, 4, "bf16"), _case(4, 512, 9, 3, 64, 16, 1, "fp32")),
    multiplies_matrices=True,
)
