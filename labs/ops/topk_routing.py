"""Routing of a mixture of experts: of each token the k largest logits, and a softmax over those.

Shapes: ``logits [tokens, experts]``; gives ``weights [tokens, k]`` fp32 and ``chosen [tokens, k]`` int32, the
largest first, of equal ones the lower number. A program has one token and takes the largest k times over:
there are a few hundred experts at most. (Mixtral: Jiang et al., arXiv:2401.04088, section 2.1: the softmax is
taken over the top k only.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from labs.formulas.operators import routing_bytes, routing_flops
from labs.ops.operator import HAS_TRITON, Case, Operator, Tensors, Work
from labs.text import Text

if TYPE_CHECKING:
    from torch import Tensor


def naive_routing(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """By sorting all of them, in fp32; a stable sort keeps the lower of equals first."""
    order = logits.float().argsort(dim=1, descending=True, stable=True)[:, :k]
    return logits.float().gather(1, order).softmax(dim=1), order.int()


def fast_routing(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """torch's selection of the k largest."""
    values, order = logits.float().topk(k, dim=1)
    return values.softmax(dim=1), order.int()


if HAS_TRITON:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def route_token(  # type: ignore[no-untyped-def]
        logits_ptr,  # [tokens, experts]
        weights_ptr,  # [tokens, K]
        chosen_ptr,  # [tokens, K]
        experts,
        K: tl.constexpr,
        WIDTH: tl.constexpr,  # experts, up to a power of two
        SLOTS: tl.constexpr,  # K, up to a power of two
    ):
        token = tl.program_id(0).to(tl.int64)
        expert, slot = tl.arange(0, WIDTH), tl.arange(0, SLOTS)
        at = logits_ptr + token * experts + expert
        left = tl.load(at, mask=expert < experts, other=float("-inf")).to(tl.float32)
        best = tl.full((SLOTS,), float("-inf"), tl.float32)
        place = tl.zeros((SLOTS,), tl.int32)
        first, total = float("-inf"), 0.0
        for rank in tl.static_range(K):
            value, number = tl.max(left, 0, return_indices=True)
            best = tl.where(slot == rank, value, best)
            place = tl.where(slot == rank, number, place)
            left = tl.where(expert == number, float("-inf"), left)
            if rank == 0:
                first = value
            total += tl.exp(value - first)
        share = tl.exp(best - first) / total
        tl.store(weights_ptr + token * K + slot, share, mask=slot < K)
        tl.store(chosen_ptr + token * K + slot, place, mask=slot < K)


def triton_routing(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """As ``naive_routing``; ``logits`` contiguous."""
    tokens, experts = logits.shape
    weights = torch.empty((tokens, k), dtype=torch.float32, device=logits.device)
    chosen = torch.empty((tokens, k), dtype=torch.int32, device=logits.device)
    width, slots = triton.next_power_of_2(experts), triton.next_power_of_2(k)
    route_token[(tokens,)](logits, weights, chosen, experts, K=k, WIDTH=width, SLOTS=slots, num_warps=1)
    return weights, chosen


def inputs(case: Case, make: Tensors) -> dict[str, Any]:
    return {"logits": make.normal(case["tokens"], case["experts"]), "k": case["k"]}


def work(case: Case) -> Work:
    tokens, experts, k = case["tokens"], case["experts"], case["k"]
    read, written = routing_bytes(tokens, experts, k, case.element_bytes)
    return Work(read, written, vector_flops=routing_flops(tokens, experts, k))


def _case(tokens: int, experts: int, k: int, dtype: Any = "fp32") -> Case:
    return Case({"tokens": tokens, "experts": experts, "k": k}, dtype)


OPERATOR = Operator(
    name="topk_routing",
    title=Text(zh="MoE 的 top-k 路由", en="Top-k routing of a mixture of experts"),
    inputs=inputs,
    naive=naive_routing,
    triton=triton_routing if HAS_TRITON else None,
    fast=fast_routing,
    work=work,
    odd=(_case(5, 60, 3), _case(3, 8, 2, "fp16")),
    aligned=(_case(4, 64, 8),),
    shipped=(_case(256, 128, 8, "bf16"),),
)
