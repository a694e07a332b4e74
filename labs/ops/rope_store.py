"""RoPE of Q and K in one kernel with the stores that attention waits for: K, and V, go into the KV cache.

Shapes: ``q [T, H D]``, ``k, v [T, K D]``, rows as far apart as they lie in a joined projection; ``cosine,
sine [T, D / 2]`` fp32; ``keys, values [K, S, D]``, whose last T rows are written in place. A program has one
token: its angles are loaded once, and all its heads are turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import rope_flops, rope_store_bytes
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.ops.rope import angles, naive_rope
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

Turned = tuple["Tensor", "Tensor", "Tensor"]


def naive_rope_store(
    q: Tensor, k: Tensor, v: Tensor, cosine: Tensor, sine: Tensor, keys: Tensor, values: Tensor
) -> Turned:
    """Queries by head ``[H, T, D]``, and copies of the caches with the new rows in them; in fp32."""
    tokens, size = len(q), keys.shape[2]
    by_head = [one.reshape(tokens, -1, size) for one in (q, k, v)]
    turned = [naive_rope(one, cosine, sine).transpose(0, 1) for one in by_head[:2]]
    held = keys.float().clone(), values.float().clone()
    held[0][:, -tokens:] = turned[1]
    held[1][:, -tokens:] = by_head[2].float().transpose(0, 1)
    return turned[0], *held


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def place_heads(  # type: ignore[no-untyped-def]
        from_ptr,  # a token's heads, one behind the other
        to_ptr,  # that token's row in the first head
        to_stride,  # from head to head
        c,
        s,
        heads,
        TURN: tl.constexpr,
        HALF: tl.constexpr,
        WIDTH: tl.constexpr,
        ROWS: tl.constexpr,
    ):
        head, pair = tl.arange(0, ROWS), tl.arange(0, WIDTH)
        inside = (head < heads)[:, None] & (pair < HALF)[None, :]
        at = head[:, None] * 2 * HALF + pair[None, :]
        first = tl.load(from_ptr + at, mask=inside, other=0.0).to(tl.float32)
        second = tl.load(from_ptr + at + HALF, mask=inside, other=0.0).to(tl.float32)
        if TURN:
            turned = second * c + first * s
            first = first * c - second * s
            second = turned
        to = to_ptr + head[:, None] * to_stride + pair[None, :]
        kind = to_ptr.dtype.element_ty
        tl.store(to, first.to(kind), mask=inside)
        tl.store(to + HALF, second.to(kind), mask=inside)

    @triton.jit  # type: ignore[untyped-decorator]
    def rotate_and_store(  # type: ignore[no-untyped-def]
        q_ptr,  # [T, H D]
        k_ptr,  # [T, K D]
        v_ptr,  # [T, K D]
        cosine_ptr,  # [T, D / 2]
        sine_ptr,  # [T, D / 2]
        out_ptr,  # [H, T, D]
        keys_ptr,  # [K, S, D]
        values_ptr,  # [K, S, D]
        q_stride,
        k_stride,
        v_stride,
        tokens,
        seen,  # S
        heads,
        kv_heads,
        HALF: tl.constexpr,  # D / 2
        WIDTH: tl.constexpr,  # HALF, up to a power of two
        ROWS: tl.constexpr,  # heads, up to a power of two
        KV_ROWS: tl.constexpr,
    ):
        token = tl.program_id(0).to(tl.int64)
        pair = tl.arange(0, WIDTH)
        c = tl.load(cosine_ptr + token * HALF + pair, mask=pair < HALF, other=0.0)[None, :]
        s = tl.load(sine_ptr + token * HALF + pair, mask=pair < HALF, other=0.0)[None, :]
        place, slot = token * 2 * HALF, (seen - tokens + token) * 2 * HALF
        apart, span = tokens * 2 * HALF, seen * 2 * HALF
        place_heads(q_ptr + token * q_stride, out_ptr + place, apart, c, s, heads, True, HALF, WIDTH, ROWS)
        place_heads(
            k_ptr + token * k_stride, keys_ptr + slot, span, c, s, kv_heads, True, HALF, WIDTH, KV_ROWS
        )
        place_heads(
            v_ptr + token * v_stride, values_ptr + slot, span, c, s, kv_heads, False, HALF, WIDTH, KV_ROWS
        )


def triton_rope_store(
    q: Tensor, k: Tensor, v: Tensor, cosine: Tensor, sine: Tensor, keys: Tensor, values: Tensor
) -> Turned:
    """As ``naive_rope_store``, in the type of ``q``, but into ``keys`` and ``values`` themselves. Rows of
    ``q, k, v`` are contiguous, the caches and angles wholly so."""
    kv_heads, seen, size = keys.shape
    tokens, heads, half = len(q), q.shape[1] // size, size // 2
    out = torch.empty((heads, tokens, size), dtype=q.dtype, device=q.device)
    rows, kv_rows = triton.next_power_of_2(heads), triton.next_power_of_2(kv_heads)
    rotate_and_store[(tokens,)](
        *(q, k, v, cosine, sine, out, keys, values, q.stride(0), k.stride(0), v.stride(0)),
        *(tokens, seen, heads, kv_heads),
        HALF=half,
        WIDTH=triton.next_power_of_2(half),
        ROWS=rows,
        KV_ROWS=kv_rows,
    )
    return out, keys, values


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    tokens, heads, kv_heads, size = (case[name] for name in ("tokens", "heads", "kv_heads", "head_dim"))
    joined = make.normal(tokens, (heads + 2 * kv_heads) * size)
    q, k, v = torch.split(joined, [heads * size, kv_heads * size, kv_heads * size], dim=1)
    cosine, sine = angles(tokens, size)
    cache = (kv_heads, case["seen"], size)
    return {
        **{"q": q, "k": k, "v": v, "cosine": make.placed(cosine), "sine": make.placed(sine)},
        **{"keys": make.normal(*cache), "values": make.normal(*cache)},
    }


def work(case: Case) -> Work:
    tokens, heads, kv_heads, size = (case[name] for name in ("tokens", "heads", "kv_heads", "head_dim"))
    read, written = rope_store_bytes(tokens, heads, kv_heads, size, case.element_bytes)
    return Work(read, written, vector_flops=rope_flops(tokens, heads + kv_heads, size))


def _case(tokens: int, seen: int, heads: int, kv_heads: int, head_dim: int, dtype: Any = "fp32") -> Case:
    sizes = {"tokens": tokens, "seen": seen, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    return Case(sizes, dtype)


OPERATOR = Operator(
    name="rope_store",
    title=Text(zh="RoPE + 写入 KV 缓存", en="RoPE and the stores into the KV cache"),
    inputs=inputs,
    naive=naive_rope_store,
    triton=triton_rope_store if HAS_TRITON else None,
    work=work,
    odd=(_case(3, 3, 9, 3, 64), _case(1, 7, 5, 1, 80, "fp16")),
    aligned=(_case(4, 8, 8, 2, 64),),
    shipped=(_case(64, 1024, 32, 8, 128, "bf16"),),
)
