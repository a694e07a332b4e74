"""Sequence-parallel attention: what each of N ranks holds, sends, and computes (Liu et al., 2310.01889).

A sequence of S tokens is cut into N parts. Each rank keeps its queries; blocks of keys and values travel
round the ring in N - 1 steps. Pairs are those of a query and a key that it may see (causal).
"""

from __future__ import annotations

from typing import Literal

Layout = Literal["contiguous", "zigzag", "striped"]


def positions(rank: int, ranks: int, tokens: int, layout: Layout) -> list[int]:
    """The token positions of a rank. ValueError where they cannot be dealt evenly.

    ``contiguous``: one run. ``striped``: every N-th (Brandon et al., 2311.09431). ``zigzag``: of 2 N runs the
    one from the front and the one as far from the back (the Llama 3 report, 2407.21783, section 3.3.2).
    """
    runs = 2 * ranks if layout == "zigzag" else ranks
    if tokens % runs:
        raise ValueError(f"{tokens} tokens over {ranks} ranks, {layout}: expected a multiple of {runs}")
    if layout == "striped":
        return list(range(rank, tokens, ranks))
    size = tokens // runs
    parts = [rank] if layout == "contiguous" else [rank, 2 * ranks - 1 - rank]
    return [part * size + offset for part in parts for offset in range(size)]


def pairs(queries: list[int], keys: list[int]) -> int:
    """Pairs of a query and a key at or before it; both ascend."""
    count = seen = 0
    for query in queries:
        while seen < len(keys) and keys[seen] <= query:
            seen += 1
        count += seen
    return count


def step_pairs(ranks: int, tokens: int, layout: Layout) -> list[list[int]]:
    """``[step][rank]``: pairs that each rank computes in each step; the block comes from ``rank - step``."""
    owned = [positions(rank, ranks, tokens, layout) for rank in range(ranks)]
    return [
        [pairs(owned[rank], owned[(rank - step) % ranks]) for rank in range(ranks)] for step in range(ranks)
    ]


def balance(ranks: int, tokens: int, layout: Layout) -> float:
    """Share of the ranks' time that is work if each step lasts as long as its slowest rank: 1 is perfect."""
    steps = step_pairs(ranks, tokens, layout)
    return sum(sum(step) for step in steps) / (ranks * sum(max(step) for step in steps))


def block_bytes(tokens: int, ranks: int, kv_heads: int, head_dim: int, bytes_per_element: float) -> float:
    """Keys and values of one layer that a rank owns, and that it passes on in each step."""
    return 2 * tokens / ranks * kv_heads * head_dim * bytes_per_element


def sent_bytes(tokens: int, ranks: int, kv_heads: int, head_dim: int, bytes_per_element: float) -> float:
    """Bytes that each rank sends, and receives, for one layer: its block N - 1 times over."""
    return (ranks - 1) * block_bytes(tokens, ranks, kv_heads, head_dim, bytes_per_element)


def all_gather_bytes(
    tokens: int, ranks: int, kv_heads: int, head_dim: int, bytes_per_element: float
) -> float:
    """Bytes of keys and values that a rank then holds if all are gathered first: the same traffic, but the
    whole sequence's KV of one layer at once instead of two blocks."""
    return ranks * block_bytes(tokens, ranks, kv_heads, head_dim, bytes_per_element)


def rank_kv_bytes(tokens: int, ranks: int, kv_heads: int, head_dim: int, bytes_per_element: float) -> float:
    """Most bytes of keys and values at once in a step: the own block, the one read, the one arriving."""
    blocks = min(ranks, 3)
    return blocks * block_bytes(tokens, ranks, kv_heads, head_dim, bytes_per_element)


def attention_flops(pairs_count: float, heads: int, head_dim: int) -> float:
    """Of one layer: 2 products of ``head_dim`` for each pair and query head, a multiply and an add each."""
    return 4 * pairs_count * heads * head_dim


def hidden_block_tokens(
    peak_flops: float, link_bandwidth: float, *, heads: int, kv_heads: int, bytes_per_element: float
) -> float:
    """Tokens a rank from which on computing a full block takes longer than sending one.

    Computing ``4 c^2 heads D / F`` against sending ``4 c kv_heads D / B`` numbers: ``c >= (F / B) (kv_heads /
    heads) bytes / 2``. With MHA and 2 bytes that is ``F / B`` (2310.01889, section 3). ``link_bandwidth`` in
    bytes/s of one direction. Causal blocks with half the pairs need twice as many tokens.
    """
    return peak_flops / link_bandwidth * (kv_heads / heads) * bytes_per_element / 2
