"""What a prompt costs: in chunks, with a cached prefix, and again after a preemption.

Causal attention over ``n`` tokens has ``n (n + 1) / 2`` pairs of a query and a key. ``linear_flops`` is what
the linear layers compute a token, ``pair_flops`` what attention computes a pair, over all layers.
"""

from __future__ import annotations


def causal_pairs(tokens: int, cached: int = 0, window: int | None = None) -> int:
    """Pairs of a query and a key that remain when the first ``cached`` tokens have their KV already.

    A query sees itself and what came before, at most ``window`` keys in all where the layer has a window.
    """
    return _pairs(tokens, window) - _pairs(cached, window)


def prefill_flops(tokens: int, linear_flops: float, pair_flops: float, cached: int = 0) -> float:
    """FLOPs of a prompt of which the first ``cached`` tokens come from the prefix cache."""
    return (tokens - cached) * linear_flops + causal_pairs(tokens, cached) * pair_flops


def prefix_saving(tokens: int, linear_flops: float, pair_flops: float, cached: int) -> float:
    """Share of the prompt's FLOPs that the prefix cache saves; less than ``cached / tokens``.

    The tokens that remain are the last ones, which attend to the most keys.
    """
    return 1 - prefill_flops(tokens, linear_flops, pair_flops, cached) / prefill_flops(
        tokens, linear_flops, pair_flops
    )


def generation_flops(
    prompt: int,
    new_tokens: int,
    linear_flops: float,
    pair_flops: float,
    head_flops: float = 0.0,
    kv_cache: bool = True,
) -> float:
    """FLOPs of an answer. Without a KV cache each of its tokens costs a prefill of all before it.

    With it the first token costs the prompt's prefill, and each other one a token's: linear instead of
    quadratic in the answer (attention's pairs: quadratic instead of cubic). ``head_flops``: of one token's
    logits.
    """
    if kv_cache:
        body = prefill_flops(prompt + new_tokens - 1, linear_flops, pair_flops)
    else:
        lengths = range(prompt, prompt + new_tokens)
        body = sum(prefill_flops(length, linear_flops, pair_flops) for length in lengths)
    return body + new_tokens * head_flops


def token_flops_ratio(tokens: int, linear_flops: float, pair_flops: float, head_flops: float = 0.0) -> float:
    """How many times more FLOPs the token after ``tokens - 1`` others costs without a KV cache than with."""
    without = prefill_flops(tokens, linear_flops, pair_flops) + head_flops
    return without / (prefill_flops(tokens, linear_flops, pair_flops, cached=tokens - 1) + head_flops)


def reusable_prefix(shared: int, tokens: int, block_size: int) -> int:
    """Tokens of a ``shared`` prefix that a cache of whole blocks spares a prompt of ``tokens``.

    The last token is always computed: its logits are the answer's first token.
    """
    return min(shared, tokens - 1) // block_size * block_size


def chunks(tokens: int, chunk: int) -> int:
    """Steps in which a prompt is computed, ``chunk`` tokens at a time."""
    return -(-tokens // chunk)


def reread_kv_tokens(tokens: int, chunk: int) -> int:
    """KV slots read again because of chunking: chunk ``i`` reads the ``i * chunk`` tokens before it.

    ``chunk * k (k - 1) / 2`` for ``k`` chunks: halving the chunk about doubles it. The prompt's FLOPs stay
    the same; the weights are read ``k`` times. Chunked prefill: Sarathi-Serve (2403.02310).
    """
    count = chunks(tokens, chunk)
    return chunk * count * (count - 1) // 2


def swap_seconds(kv_bytes: float, host_bandwidth: float) -> float:
    """A preemption by swapping: the KV goes to host memory and comes back, each at ``host_bandwidth``.

    ``host_bandwidth`` is of one direction, in bytes/s.
    """
    return 2 * kv_bytes / host_bandwidth


def recompute_seconds(
    tokens: int,
    linear_flops: float,
    pair_flops: float,
    weight_bytes: float,
    peak_flops: float,
    bandwidth: float,
) -> float:
    """A preemption by recomputation: the prompt and what was generated are prefilled again, in one step.

    By the roofline: computing, or reading the weights once, whichever is slower; so it never takes less than
    that one reading, however few the tokens. Both ways: Kwon et al. (2309.06180), sections 4.5 and 7.3.
    """
    return max(prefill_flops(tokens, linear_flops, pair_flops) / peak_flops, weight_bytes / bandwidth)


def _pairs(tokens: int, window: int | None) -> int:
    growing = tokens if window is None else min(tokens, window)
    return growing * (growing + 1) // 2 + (tokens - growing) * growing
