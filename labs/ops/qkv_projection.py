"""Q, K and V by one product with their weights side by side, turned by RoPE before they are stored.

Shapes: ``x [tokens, k]``, ``weight [k, (H + 2 K) * D]``: query heads, KV heads' keys, their values; ``cosine,
sine [tokens, D / 2]`` fp32. Gives ``q [H, tokens, D]``, ``k`` and ``v [K, tokens, D]``: a head's tokens lie
behind each other, as attention reads them. A program computes one head for a tile of tokens, its two halves
as two accumulators, so that a pair to be turned lies in one thread. ``x`` is read by every head's program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.memory import gemm_flops
from labs.formulas.operators import matmul_bytes, rope_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.ops.rope import angles, fast_rope, naive_rope
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

TILE_M, TILE_K = 64, 32


def naive_qkv(
    x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor, heads: int, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Three products, two rotations, in fp32."""
    return _split(x.float() @ weight.float(), cosine, sine, heads, kv_heads, naive_rope)


def fast_qkv(
    x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor, heads: int, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One product by torch, then the rotations."""
    return _split(x @ weight, cosine, sine, heads, kv_heads, fast_rope)


def _split(
    projected: Tensor, cosine: Tensor, sine: Tensor, heads: int, kv_heads: int, turn: Any
) -> tuple[Tensor, Tensor, Tensor]:
    per_head = projected.view(len(projected), heads + 2 * kv_heads, -1)
    q, k, v = torch.split(per_head, [heads, kv_heads, kv_heads], dim=1)
    q, k = turn(q, cosine, sine), turn(k, cosine, sine)
    return q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def project_head(  # type: ignore[no-untyped-def]
        x_ptr,  # [tokens, depth]
        weight_ptr,  # [depth, (H + 2 K) * D]
        cosine_ptr,  # [tokens, D / 2]
        sine_ptr,  # [tokens, D / 2]
        q_ptr,  # [H, tokens, D]
        k_ptr,  # [K, tokens, D]
        v_ptr,  # [K, tokens, D]
        tokens,
        depth,
        width,  # (H + 2 K) * D
        heads,
        kv_heads,
        HALF: tl.constexpr,  # D / 2, a power of two
        TILE_M: tl.constexpr,
        TILE_K: tl.constexpr,
    ):
        token, head = tl.program_id(0) * TILE_M + tl.arange(0, TILE_M), tl.program_id(1)
        pair, step = tl.arange(0, HALF), tl.arange(0, TILE_K)
        first = tl.zeros((TILE_M, HALF), tl.float32)
        second = tl.zeros((TILE_M, HALF), tl.float32)
        there = (token < tokens)[:, None]
        for begin in range(0, depth, TILE_K):
            k = begin + step
            held = (k < depth)[:, None]
            x = tl.load(
                x_ptr + token[:, None] * depth + k[None, :], mask=there & (k < depth)[None, :], other=0.0
            )
            at = weight_ptr + k[:, None] * width + head * 2 * HALF + pair[None, :]
            first = tl.dot(x, tl.load(at, mask=held, other=0.0), first, input_precision="ieee")
            second = tl.dot(x, tl.load(at + HALF, mask=held, other=0.0), second, input_precision="ieee")
        if head < heads + kv_heads:
            angle = token[:, None] * HALF + pair[None, :]
            c = tl.load(cosine_ptr + angle, mask=there, other=0.0)
            s = tl.load(sine_ptr + angle, mask=there, other=0.0)
            turned = second * c + first * s
            first = first * c - second * s
            second = turned
        out_ptr = q_ptr + head * tokens * 2 * HALF
        if head >= heads:
            out_ptr = k_ptr + (head - heads) * tokens * 2 * HALF
        if head >= heads + kv_heads:
            out_ptr = v_ptr + (head - heads - kv_heads) * tokens * 2 * HALF
        place = out_ptr + token[:, None] * 2 * HALF + pair[None, :]
        tl.store(place, first.to(q_ptr.dtype.element_ty), mask=there)
        tl.store(place + HALF, second.to(q_ptr.dtype.element_ty), mask=there)


def triton_qkv(
    x: Tensor, weight: Tensor, cosine: Tensor, sine: Tensor, heads: int, kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``naive_qkv``, in the type of ``x``; all contiguous. D must be a power of two, at least 32."""
    (tokens, depth), width = x.shape, weight.shape[1]
    head_dim = width // (heads + 2 * kv_heads)
    if head_dim < 32 or head_dim & (head_dim - 1):
        raise ValueError(f"a head of {head_dim} numbers, expected a power of two from 32 on")
    q, k, v = (
        torch.empty((count, tokens, head_dim), dtype=x.dtype, device=x.device)
        for count in (heads, kv_heads, kv_heads)
    )
    project_head[triton.cdiv(tokens, TILE_M), heads + 2 * kv_heads](
        *(x, weight, cosine, sine, q, k, v, tokens, depth, width, heads, kv_heads),
        HALF=head_dim // 2,
        TILE_M=TILE_M,
        TILE_K=TILE_K,
        num_warps=4,
        num_stages=3,
    )
    return q, k, v


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    tokens, depth, heads, kv_heads = case["tokens"], case["k"], case["heads"], case["kv_heads"]
    cosine, sine = angles(tokens, case["head_dim"])
    return {
        "x": make.normal(tokens, depth),
        "weight": make.normal(depth, (heads + 2 * kv_heads) * case["head_dim"], scale=depth**-0.5),
        "cosine": make.placed(cosine),
        "sine": make.placed(sine),
        "heads": heads,
        "kv_heads": kv_heads,
    }


def work(case: Case) -> Work:
    tokens, depth, heads, kv_heads = case["tokens"], case["k"], case["heads"], case["kv_heads"]
    columns = (heads + 2 * kv_heads) * case["head_dim"]
    read, written = (int(one) for one in matmul_bytes(tokens, columns, depth, case.element_bytes))
    angle_bytes = 2 * tokens * (case["head_dim"] // 2) * 4
    tiles = -(-tokens // TILE_M)
    loaded = (heads + 2 * kv_heads) * tokens * depth * case.element_bytes  # x, by every head
    loaded += tiles * depth * columns * case.element_bytes + (heads + kv_heads) * angle_bytes
    return Work(
        read + angle_bytes,
        written,
        matrix_flops=int(gemm_flops(tokens, columns, depth)),
        vector_flops=rope_flops(tokens, heads + kv_heads, case["head_dim"]),
        loaded=loaded,
    )


def _case(tokens: int, k: int, heads: int, kv_heads: int, head_dim: int, dtype: Any = "fp32") -> Case:
    sizes = {"tokens": tokens, "k": k, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    return Case(sizes, dtype)


OPERATOR = Operator(
    name="qkv_projection",
    title=Text(zh="融合的 QKV 投影 + RoPE", en="Fused QKV projection and RoPE"),
    inputs=inputs,
    naive=naive_qkv,
    triton=triton_qkv if HAS_TRITON else None,
    fast=fast_qkv,
    work=work,
    odd=(_case(7, 50, 3, 1, 32), _case(70, 40, 2, 2, 64, "fp16")),
    aligned=(_case(128, 64, 2, 1, 64),),
    shipped=(_case(512, 4096, 32, 8, 128, "bf16"),),
    multiplies_matrices=True,
)
