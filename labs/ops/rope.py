"""Rotary position embedding: pairs of a head's numbers, half a head apart, turned by the token's angle.

Shapes: ``x [tokens, heads, D]``, ``cosine, sine [tokens, D / 2]`` fp32. A program has one token and turns all
of its heads: the token's angles are loaded once. (Su et al., arXiv:2104.09864; halves as in Llama.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import rope_bytes, rope_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

BASE = 1e4


def angles(tokens: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``[tokens, D / 2]`` of positions 0 to ``tokens - 1``."""
    frequency = BASE ** (-torch.arange(0, head_dim, 2) / head_dim)
    angle = torch.arange(tokens)[:, None] * frequency
    return angle.cos(), angle.sin()


def naive_rope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """The rotation written out for each half, in fp32."""
    first, second = x.float().chunk(2, dim=-1)
    c, s = cosine[:, None], sine[:, None]
    return torch.cat([first * c - second * s, second * c + first * s], dim=-1)


def fast_rope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Each half written once, its second product added in place: no temporaries. In the type of ``x``."""
    first, second = x.chunk(2, dim=-1)
    c, s = (one[:, None].to(x.dtype) for one in (cosine, sine))
    out = torch.empty_like(x)
    left, right = out.chunk(2, dim=-1)
    torch.mul(first, c, out=left).addcmul_(second, s, value=-1)
    torch.mul(second, c, out=right).addcmul_(first, s)
    return out


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def rotate_token(  # type: ignore[no-untyped-def]
        x_ptr,  # [tokens, heads, D]
        cosine_ptr,  # [tokens, D / 2]
        sine_ptr,  # [tokens, D / 2]
        out_ptr,  # [tokens, heads, D]
        heads,
        HALF: tl.constexpr,  # D / 2
        ROWS: tl.constexpr,  # heads, up to a power of two
        WIDTH: tl.constexpr,  # HALF, up to a power of two
    ):
        token = tl.program_id(0).to(tl.int64)
        head, pair = tl.arange(0, ROWS), tl.arange(0, WIDTH)
        inside = (head < heads)[:, None] & (pair < HALF)[None, :]
        at = (token * heads + head[:, None]) * 2 * HALF + pair[None, :]
        c = tl.load(cosine_ptr + token * HALF + pair, mask=pair < HALF, other=0.0)[None, :]
        s = tl.load(sine_ptr + token * HALF + pair, mask=pair < HALF, other=0.0)[None, :]
        first = tl.load(x_ptr + at, mask=inside, other=0.0).to(tl.float32)
        second = tl.load(x_ptr + at + HALF, mask=inside, other=0.0).to(tl.float32)
        kind = out_ptr.dtype.element_ty
        tl.store(out_ptr + at, (first * c - second * s).to(kind), mask=inside)
        tl.store(out_ptr + at + HALF, (second * c + first * s).to(kind), mask=inside)


def triton_rope(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """As ``naive_rope``, in the type of ``x``; all contiguous."""
    tokens, heads, head_dim = x.shape
    out, half = torch.empty_like(x), head_dim // 2
    rows, width = triton.next_power_of_2(heads), triton.next_power_of_2(half)
    rotate_token[(tokens,)](x, cosine, sine, out, heads, HALF=half, ROWS=rows, WIDTH=width)
    return out


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    tokens, heads, head_dim = case["tokens"], case["heads"], case["head_dim"]
    cosine, sine = angles(tokens, head_dim)
    x = make.normal(tokens, heads, head_dim)
    return {"x": x, "cosine": make.placed(cosine), "sine": make.placed(sine)}


def work(case: Case) -> Work:
    sizes = (case["tokens"], case["heads"], case["head_dim"])
    read, written = rope_bytes(*sizes, case.element_bytes)
    return Work(read, written, vector_flops=rope_flops(*sizes))


def _case(tokens: int, heads: int, head_dim: int, dtype: Any = "fp32") -> Case:
    return Case({"tokens": tokens, "heads": heads, "head_dim": head_dim}, dtype)


OPERATOR = Operator(
    name="rope",
    title=Text(zh="RoPE（旋转位置编码）", en="RoPE (rotary position embedding)"),
    inputs=inputs,
    naive=naive_rope,
    triton=triton_rope if HAS_TRITON else None,
    fast=fast_rope,
    work=work,
    odd=(_case(3, 9, 64), _case(2, 5, 80, "fp16")),
    aligned=(_case(4, 8, 64),),
    shipped=(_case(64, 32, 128, "bf16"),),
)
