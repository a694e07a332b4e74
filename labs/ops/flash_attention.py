"""FlashAttention's forward pass: tiles of K and V stream past queries whose results stay on the chip.

The loop order of FlashAttention-2 (Dao, 2307.08691, algorithm 1): a program has ``rows`` queries of one head
and walks over the keys with an online softmax, so the scores are never written. ``flash_attention_v1`` has
the first version's order. Causal (the queries are the last positions of the keys), grouped heads, a sliding
window; tiles that no query may see are skipped, and only tiles on an edge are masked.

Shapes: B sequences, H query heads, K KV heads, T queries, S keys, D head dim (at most 128).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from labs.formulas.flash_attention import Shape, Tile, queries_outer
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor

MOST_DIM = 128
LOG2_E = 1.4426950408889634  # exp2 is what the hardware has: exp(x) = exp2(x log2 e)


def naive_flash_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = False, window: int = 0) -> Tensor:
    """``q [B, H, T, D]``, ``k, v [B, K, S, D]``; gives ``[B, H, T, D]`` in fp32, with all scores in memory.

    A query sees its own position and, with a ``window``, the ``window - 1`` before it (needs ``causal``).
    """
    group = q.shape[1] // k.shape[1]
    keys, values = (one.float().repeat_interleave(group, dim=1) for one in (k, v))
    scores = q.float() @ keys.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        scores = scores.masked_fill(~visible(q.shape[2], k.shape[2], window, q.device), float("-inf"))
    mixed: Tensor = scores.softmax(dim=-1) @ values
    return mixed


def visible(queries: int, keys: int, window: int = 0, device: Any = "cpu") -> Tensor:
    """``[T, S]``: which keys the last ``queries`` positions may see."""
    seen = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    return seen.triu(keys - queries - window + 1) if window else seen


def fast_flash_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool = False, window: int = 0) -> Tensor:
    """torch's own, whose CPU kernel is tiled too."""
    plain = causal and not window and q.shape[2] == k.shape[2]
    mask = visible(q.shape[2], k.shape[2], window, q.device) if causal and not plain else None
    return torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=plain, enable_gqa=True
    )


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def attend_tiles(  # type: ignore[no-untyped-def]
        mixed,  # [ROWS, WIDTH]: weighted sum of values so far
        most,  # [ROWS]: largest score so far
        total,  # [ROWS]: sum of the weights so far
        q,
        k_ptr,
        v_ptr,
        first,
        last,
        position,  # [ROWS]: of each query among the keys
        keys,
        scale,
        window,
        MASKED: tl.constexpr,
        CAUSAL: tl.constexpr,
        WINDOW: tl.constexpr,
        D: tl.constexpr,
        WIDTH: tl.constexpr,
        TILE: tl.constexpr,
    ):
        dims, tile = tl.arange(0, WIDTH), tl.arange(0, TILE)
        for start in range(first, last, TILE):
            key = start + tile
            at = key[:, None] * D + dims[None, :]
            if MASKED:
                inside = (key < keys)[:, None] & (dims < D)[None, :]
                k = tl.load(k_ptr + at, mask=inside, other=0.0)
                v = tl.load(v_ptr + at, mask=inside, other=0.0)
            elif D < WIDTH:
                k = tl.load(k_ptr + at, mask=(dims < D)[None, :], other=0.0)
                v = tl.load(v_ptr + at, mask=(dims < D)[None, :], other=0.0)
            else:
                k = tl.load(k_ptr + at)
                v = tl.load(v_ptr + at)
            scores = tl.dot(q, tl.trans(k), input_precision="ieee")
            if MASKED:
                seen = (key < keys)[None, :]
                if CAUSAL:
                    seen = seen & (key[None, :] <= position[:, None])
                if WINDOW:
                    seen = seen & (key[None, :] > position[:, None] - window)
                scores = tl.where(seen, scores, float("-inf"))
            now = tl.maximum(most, tl.max(scores, 1) * scale)
            # A row that has seen nothing yet has -inf, and -inf - -inf would be NaN.
            base = tl.where(now == float("-inf"), 0.0, now) if MASKED else now
            shrink = tl.exp2(most - base)
            weights = tl.exp2(scores * scale - base[:, None])  # one fused multiply-add a score
            total = total * shrink + tl.sum(weights, 1)
            mixed = tl.dot(weights.to(v.dtype), v, mixed * shrink[:, None], input_precision="ieee")
            most = now
        return mixed, most, total

    @triton.jit  # type: ignore[untyped-decorator]
    def attend_rows(  # type: ignore[no-untyped-def]
        q_ptr,  # [B, H, T, D]
        k_ptr,  # [B, K, S, D]
        v_ptr,  # [B, K, S, D]
        out_ptr,  # [B, H, T, D]
        queries,
        keys,
        scale,  # 1 / sqrt(D), times log2(e)
        window,
        GROUP: tl.constexpr,
        CAUSAL: tl.constexpr,
        WINDOW: tl.constexpr,
        D: tl.constexpr,
        WIDTH: tl.constexpr,  # D, up to a power of two
        ROWS: tl.constexpr,
        TILE: tl.constexpr,
    ):
        block = tl.program_id(0)
        if CAUSAL:  # the longest first: the last wave of programs is then of short ones
            block = tl.num_programs(0) - 1 - block
        head = tl.program_id(1).to(tl.int64)
        row, dims = block * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
        position = row + keys - queries
        own = (row < queries)[:, None] & (dims < D)[None, :]
        place = head * queries * D + row[:, None] * D + dims[None, :]
        q = tl.load(q_ptr + place, mask=own, other=0.0)
        k_ptr += head // GROUP * keys * D
        v_ptr += head // GROUP * keys * D
        mixed = tl.zeros((ROWS, WIDTH), tl.float32)
        most = tl.full((ROWS,), float("-inf"), tl.float32)
        total = tl.zeros((ROWS,), tl.float32)
        low = block * ROWS + keys - queries  # of the first query
        end, whole = keys, keys // TILE * TILE
        if CAUSAL:
            end = tl.minimum(keys, low + ROWS)
            whole = tl.maximum(
                0, tl.minimum(whole, (low + 1) // TILE * TILE)
            )  # tiles all of whose keys all see
        begin = 0
        if WINDOW:
            begin = tl.maximum(0, low - window + 1) // TILE * TILE
            edge = tl.minimum(tl.maximum(0, low + ROWS - window + TILE - 1) // TILE * TILE, end)
            edge = tl.maximum(begin, edge)
            mixed, most, total = attend_tiles(
                *(mixed, most, total, q, k_ptr, v_ptr, begin, edge, position, keys, scale, window),
                *(True, CAUSAL, WINDOW, D, WIDTH, TILE),
            )
            begin = edge
        whole = tl.maximum(begin, whole)
        mixed, most, total = attend_tiles(
            *(mixed, most, total, q, k_ptr, v_ptr, begin, whole, position, keys, scale, window),
            *(False, CAUSAL, WINDOW, D, WIDTH, TILE),
        )
        mixed, most, total = attend_tiles(
            *(mixed, most, total, q, k_ptr, v_ptr, whole, end, position, keys, scale, window),
            *(True, CAUSAL, WINDOW, D, WIDTH, TILE),
        )
        out = mixed / total[:, None]
        tl.store(out_ptr + place, out.to(out_ptr.dtype.element_ty), mask=own)


class Launch(NamedTuple):
    """How a program is cut: its ``rows`` of queries, the ``tile`` of keys, warps, stages of the pipeline."""

    rows: int
    tile: int
    warps: int
    stages: int


def launch_for(dim: int, element_bytes: int, window: int = 0) -> Launch:
    """What is shipped: a program's scores and results fit the registers of an A100, its tiles the 64 KiB of
    an MI300X. With a window there is a third loop, and ragged heads are masked: these need registers too."""
    if element_bytes > 2:  # fp32 multiplies without the matrix units
        return Launch(32, 32, 4, 1)
    if dim <= 64:
        return Launch(128, 64, 8, 3)
    return Launch(128, 32, 8, 2) if window or dim < MOST_DIM else Launch(128, 64, 8, 2)


def triton_flash_attention(
    q: Tensor, k: Tensor, v: Tensor, causal: bool = False, window: int = 0, launch: Launch | None = None
) -> Tensor:
    """As ``naive_flash_attention``, in the type of ``q``; all contiguous."""
    batch, heads, queries, dim = q.shape
    kv_heads, keys = k.shape[1:3]
    if dim > MOST_DIM or heads % kv_heads or (causal and queries > keys) or (window and not causal):
        raise ValueError(f"q {list(q.shape)}, k {list(k.shape)}, causal {causal}, window {window}")
    rows, tile, warps, stages = launch or launch_for(dim, q.element_size(), window)
    out = torch.empty_like(q)
    attend_rows[triton.cdiv(queries, rows), batch * heads](
        *(q, k, v, out, queries, keys, LOG2_E * dim**-0.5, window),
        GROUP=heads // kv_heads,
        CAUSAL=causal,
        WINDOW=window > 0,
        D=dim,
        WIDTH=max(16, triton.next_power_of_2(dim)),
        ROWS=rows,
        TILE=tile,
        num_warps=warps,
        num_stages=stages,
    )
    return out


def shape_of(case: Case) -> Shape:
    return Shape(*(case[name] for name in ("batch", "heads", "kv_heads", "queries", "keys", "dim")))


def attention_inputs(case: Case, make: Tensors) -> dict[str, Any]:
    shape = shape_of(case)
    keys = (shape.batch, shape.kv_heads, shape.keys, shape.dim)
    q = make.normal(shape.batch, shape.heads, shape.queries, shape.dim)
    return {"q": q, "k": make.normal(*keys), "v": make.normal(*keys), "causal": bool(case["causal"])}


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return attention_inputs(case, make) | {"window": case["window"]}


def work(case: Case) -> Work:
    launch = launch_for(case["dim"], case.element_bytes, case["window"])
    found = queries_outer(
        shape_of(case),
        Tile(launch.rows, launch.tile),
        case.element_bytes,
        causal=bool(case["causal"]),
        window=case["window"],
    )
    return Work(
        found.read,
        found.written,
        matrix_flops=found.matrix_flops,
        vector_flops=found.vector_flops,
        loaded=found.loaded,
        stored=found.stored,
    )


def _case(
    heads: int,
    kv_heads: int,
    queries: int,
    keys: int,
    dim: int,
    causal: int,
    window: int,
    dtype: Any = "fp32",
) -> Case:
    sizes = {"batch": 2 if keys < 100 else 1, "heads": heads, "kv_heads": kv_heads, "queries": queries}
    return Case(sizes | {"keys": keys, "dim": dim, "causal": causal, "window": window}, dtype)


OPERATOR = Operator(
    name="flash_attention",
    title=Text(zh="FlashAttention（前向）", en="FlashAttention (forward)"),
    inputs=inputs,
    naive=naive_flash_attention,
    triton=triton_flash_attention if HAS_TRITON else None,
    fast=fast_flash_attention,
    work=work,
    odd=(
        _case(3, 1, 63, 100, 64, 0, 0),
        _case(2, 2, 65, 65, 80, 1, 0),
        _case(4, 2, 40, 133, 64, 1, 37),
        _case(2, 1, 200, 200, 128, 1, 70, "fp16"),
        _case(1, 1, 1, 77, 40, 1, 0, "fp16"),
    ),
    aligned=(
        _case(2, 1, 64, 128, 64, 0, 0),
        _case(2, 2, 128, 128, 32, 1, 0),
        _case(1, 1, 128, 128, 64, 1, 64),
    ),
    shipped=(
        _case(8, 2, 1024, 1024, 128, 1, 0, "bf16"),
        _case(9, 3, 1024, 1024, 64, 1, 0, "fp16"),
        _case(8, 2, 1024, 1024, 128, 1, 256, "fp16"),
        _case(4, 4, 1000, 1000, 80, 0, 0, "bf16"),
    ),
    multiplies_matrices=True,
)
