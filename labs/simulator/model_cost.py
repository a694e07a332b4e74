"""FLOPs and bytes of a model's forward pass: prompts and decode steps, KV with its windows, experts in use.

A multiply and an add are two FLOPs; norms, softmax, rotations and biases are left out, well below 1 %. The
linear layers cost the same a token in prefill and decode; attention is counted by pairs of a query and a key.
"""

from __future__ import annotations

import functools
from collections import Counter

from labs.formulas.batching import distinct_experts
from labs.formulas.kv_cache import bytes_per_token, cached_tokens, mla_bytes_per_token
from labs.formulas.prefill import causal_pairs
from labs.simulator.model_shape import (
    ModelShape,
    active_parameters,
    attention_matrices,
    expert_parameters,
    kv_expansion,
)


@functools.cache
def window_groups(shape: ModelShape) -> tuple[tuple[int | None, int], ...]:
    """``(window, layers)`` for each different window: what the sums over layers run over."""
    return tuple(Counter(shape.windows).items())


@functools.cache
def linear_flops_per_token(shape: ModelShape) -> int:
    """FLOPs of all layers' matrices a token, the output head not included."""
    dense_layers, experts_weights = shape.layers, 0
    if shape.experts is not None:
        experts = shape.experts
        dense_layers -= experts.layers
        width = experts.shared_width + experts.chosen * experts.width
        experts_weights = experts.layers * shape.hidden * (experts.count + 3 * width)
    ffn = dense_layers * 3 * shape.hidden * shape.intermediate + experts_weights
    return 2 * (shape.layers * attention_matrices(shape) + ffn)


def head_flops(shape: ModelShape) -> int:
    """FLOPs of the output head for one position whose logits are wanted."""
    return 2 * shape.hidden * shape.vocab


def pair_flops(shape: ModelShape, absorbed: bool = False) -> int:
    """FLOPs of one layer's attention for a query and a key, all heads: a dot product and a weighted sum.

    With latent attention prefill expands K and V of all heads. Decode does not (``absorbed``): the expansion
    moves to the query and to the result, so that heads work on the latent itself. That costs several times
    the FLOPs a pair, and reads a cache that is many times smaller (DeepSeek-V2, 2405.04434, section 2.1.2).
    """
    if shape.latent is None:
        return 4 * shape.heads * shape.head_dim
    latent = shape.latent
    if absorbed:
        return 2 * shape.heads * (2 * latent.kv_rank + latent.rope_head_dim)
    return 2 * shape.heads * (latent.nope_head_dim + latent.rope_head_dim + latent.value_head_dim)


def prefill_flops(shape: ModelShape, tokens: int, cached: int = 0, sampled: int = 1) -> int:
    """FLOPs of a prompt of ``tokens``, or of its chunk that ends there, ``cached`` having their KV already.

    ``sampled`` positions need logits: one for a whole prompt, none for a chunk before its last. With latent
    attention the cached tokens' K and V are expanded once more.
    """
    attention = sum(layers * causal_pairs(tokens, cached, window) for window, layers in window_groups(shape))
    expanded_again = 2 * shape.layers * kv_expansion(shape) * cached
    linear = (tokens - cached) * linear_flops_per_token(shape)
    return linear + attention * pair_flops(shape) + expanded_again + sampled * head_flops(shape)


def decode_flops(shape: ModelShape, context: int) -> int:
    """FLOPs of one new token that sees ``context`` tokens, itself included, and of its logits."""
    pairs = sum(layers * cached_tokens(context, window) for window, layers in window_groups(shape))
    # Absorbing moves the expansion of K and V to the query and the result: the same matrices, once a token.
    return linear_flops_per_token(shape) + pairs * pair_flops(shape, absorbed=True) + head_flops(shape)


def kv_bytes_per_token(shape: ModelShape, bytes_per_element: float = 2, layers: int | None = None) -> float:
    """Bytes that a token adds to the KV cache: in all layers, or in so many of them."""
    count = shape.layers if layers is None else layers
    if shape.latent is None:
        return bytes_per_token(
            layers=count,
            kv_heads=shape.kv_heads,
            head_dim=shape.head_dim,
            bytes_per_element=bytes_per_element,
        )
    return mla_bytes_per_token(
        layers=count,
        kv_lora_rank=shape.latent.kv_rank,
        rope_head_dim=shape.latent.rope_head_dim,
        bytes_per_element=bytes_per_element,
    )


def kv_bytes(shape: ModelShape, tokens: int, bytes_per_element: float = 2) -> float:
    """Bytes of a sequence's KV cache, also what one decode step reads of it.

    A layer with a window keeps, and reads, no more than the window. An engine that frees nothing before a
    sequence ends keeps ``tokens * kv_bytes_per_token`` and reads this much.
    """
    return sum(
        cached_tokens(tokens, window) * kv_bytes_per_token(shape, bytes_per_element, layers)
        for window, layers in window_groups(shape)
    )


def streamed_parameters(shape: ModelShape, tokens: float) -> float:
    """Weights that a step with ``tokens`` reads: all but the input table and the experts that none uses.

    The number of experts in use is the expected one with even routing (``distinct_experts``).
    """
    if shape.experts is None:
        return active_parameters(shape)
    experts = shape.experts
    in_use = distinct_experts(experts.count, experts.chosen, tokens)
    more = experts.layers * (in_use - experts.chosen) * expert_parameters(shape)
    return active_parameters(shape) + more
