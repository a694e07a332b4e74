"""FlashDecoding: one query a sequence, the keys cut into parts that different programs attend to at once.

With a single query a program for each KV head is far too few for a GPU, however long the context: so each
context is cut into ``parts``, and what they found is merged by its log-sum-exp (Dao et al., "Flash-Decoding
for long-context inference", 2023). A program has all query heads that share its KV head, so that K and V are
loaded once for them. The merge is that of ``labs.ops.paged_attention``, which reads the keys block by block.

Shapes: B sequences, H query heads, K KV heads, G = H / K at most 16, S keys, D head dim (at most 128).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.flash_attention import Shape, split_keys
from labs.ops.flash_attention import LOG2_E, MOST_DIM, naive_flash_attention
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.ops.paged_attention import ROWS
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

TILE = 64  # keys at a time


def naive_flash_decoding(q: Tensor, k: Tensor, v: Tensor, parts: int) -> Tensor:
    """``q [B, H, D]``, ``k, v [B, K, S, D]``; gives ``[B, H, D]`` in fp32. ``parts`` changes nothing."""
    return naive_flash_attention(q[:, :, None], k, v)[:, :, 0]


def fast_flash_decoding(q: Tensor, k: Tensor, v: Tensor, parts: int) -> Tensor:
    """Two products: on a CPU torch's fused attention is slower with one query."""
    batch, heads, dim = q.shape
    grouped = q.view(batch, k.shape[1], heads // k.shape[1], dim)
    weights = (grouped @ k.transpose(-1, -2) * dim**-0.5).softmax(dim=-1)
    mixed: Tensor = weights @ v
    return mixed.view(q.shape)


if HAS_TRITON:
    import triton
    import triton.language as tl

    from labs.ops.paged_attention import merge_parts

    @triton.jit  # type: ignore[untyped-decorator]
    def attend_keys(  # type: ignore[no-untyped-def]
        q_ptr,  # [B, H, D]
        k_ptr,  # [B, K, S, D]
        v_ptr,  # [B, K, S, D]
        mixed_ptr,  # [B, H, P, D] fp32: this part's weighted sum of values
        most_ptr,  # [B, H, P] fp32: its largest score, to base e
        total_ptr,  # [B, H, P] fp32: the sum of its weights, relative to that
        keys,
        a_part,  # keys of a part
        scale,  # 1 / sqrt(D), times log2(e)
        GROUP: tl.constexpr,
        D: tl.constexpr,
        WIDTH: tl.constexpr,  # D, up to a power of two
        ROWS: tl.constexpr,
        TILE: tl.constexpr,
    ):
        part, head = tl.program_id(0), tl.program_id(1).to(tl.int64)  # of all sequences' KV heads
        begin = part * a_part
        end = tl.minimum(begin + a_part, keys)
        rows, dims, tile = tl.arange(0, ROWS), tl.arange(0, WIDTH), tl.arange(0, TILE)
        query = head * GROUP + rows
        real = (rows < GROUP)[:, None] & (dims < D)[None, :]
        q = tl.load(q_ptr + query[:, None] * D + dims[None, :], mask=real, other=0.0)
        k_ptr += head * keys * D
        v_ptr += head * keys * D
        most = tl.full((ROWS,), float("-inf"), tl.float32)
        total = tl.zeros((ROWS,), tl.float32)
        mixed = tl.zeros((ROWS, WIDTH), tl.float32)
        for start in range(begin, end, TILE):
            key = start + tile
            inside = (key < end)[:, None] & (dims < D)[None, :]
            k = tl.load(k_ptr + key[:, None] * D + dims[None, :], mask=inside, other=0.0)
            v = tl.load(v_ptr + key[:, None] * D + dims[None, :], mask=inside, other=0.0)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee")
            scores = tl.where((key < end)[None, :], scores, float("-inf"))
            now = tl.maximum(most, tl.max(scores, 1) * scale)
            shrink, weights = tl.exp2(most - now), tl.exp2(scores * scale - now[:, None])
            total = total * shrink + tl.sum(weights, 1)
            mixed = tl.dot(weights.to(v.dtype), v, mixed * shrink[:, None], input_precision="ieee")
            most = now
        place = query * tl.num_programs(0) + part
        tl.store(mixed_ptr + place[:, None] * D + dims[None, :], mixed, mask=real)
        tl.store(most_ptr + place, most * 0.6931471805599453, mask=rows < GROUP)  # log(2)
        tl.store(total_ptr + place, total, mask=rows < GROUP)


def triton_flash_decoding(q: Tensor, k: Tensor, v: Tensor, parts: int) -> Tensor:
    """As ``naive_flash_decoding``, in the type of ``q``; all contiguous. A part has whole tiles of keys, so
    there may be fewer of them than asked for."""
    batch, heads, dim = q.shape
    kv_heads, keys = k.shape[1:3]
    group, width = heads // kv_heads, max(16, triton.next_power_of_2(dim))
    if dim > MOST_DIM or heads % kv_heads or group > ROWS or parts < 1:
        raise ValueError(f"q {list(q.shape)}, k {list(k.shape)}, {parts} parts")
    a_part = triton.cdiv(triton.cdiv(keys, parts), TILE) * TILE
    parts = triton.cdiv(keys, a_part)
    mixed = torch.empty(batch, heads, parts, dim, device=q.device)
    most, total = (torch.empty(batch, heads, parts, device=q.device) for _ in range(2))
    out = torch.empty_like(q)
    attend_keys[parts, batch * kv_heads](
        *(q, k, v, mixed, most, total, keys, a_part, LOG2_E * dim**-0.5),
        GROUP=group,
        D=dim,
        WIDTH=width,
        ROWS=ROWS,
        TILE=TILE,
        num_warps=4,
        num_stages=2,
    )
    merge_parts[(batch * heads,)](
        *(mixed, most, total, out, parts), PARTS=triton.next_power_of_2(parts), D=dim, WIDTH=width
    )
    return out


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    keys = (case["batch"], case["kv_heads"], case["keys"], case["dim"])
    q = make.normal(case["batch"], case["heads"], case["dim"])
    return {"q": q, "k": make.normal(*keys), "v": make.normal(*keys), "parts": case["parts"]}


def work(case: Case) -> Work:
    batch, heads, kv_heads, keys, dim = (case[n] for n in ("batch", "heads", "kv_heads", "keys", "dim"))
    shape = Shape(batch, heads, kv_heads, 1, keys, dim)
    found = split_keys(shape, ROWS, TILE, case["parts"], case.element_bytes)
    return Work(
        found.read,
        found.written,
        matrix_flops=found.matrix_flops,
        vector_flops=found.vector_flops,
        loaded=found.loaded,
    )


def _case(
    batch: int, heads: int, kv_heads: int, keys: int, dim: int, parts: int, dtype: Any = "fp32"
) -> Case:
    sizes = {"batch": batch, "heads": heads, "kv_heads": kv_heads, "keys": keys, "dim": dim, "parts": parts}
    return Case(sizes, dtype)


OPERATOR = Operator(
    name="flash_decoding",
    title=Text(zh="FlashDecoding（切分 KV）", en="FlashDecoding (split KV)"),
    inputs=inputs,
    naive=naive_flash_decoding,
    triton=triton_flash_decoding if HAS_TRITON else None,
    fast=fast_flash_decoding,
    work=work,
    odd=(
        _case(1, 9, 3, 333, 64, 3),
        _case(1, 4, 4, 65, 80, 4),
        _case(1, 8, 1, 1, 128, 5, "fp16"),
        _case(1, 8, 2, 200, 128, 2, "fp16"),
    ),
    aligned=(_case(1, 4, 2, 256, 64, 2), _case(2, 2, 2, 128, 32, 1)),
    shipped=(_case(1, 8, 2, 8192, 128, 16, "bf16"), _case(4, 9, 3, 2048, 64, 8, "fp16")),
    multiplies_matrices=True,
)
