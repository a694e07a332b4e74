"""Bytes of the KV cache, and what it wastes: reserved up front, or paged in blocks (Kwon et al., 2309.06180).

A token's K and V stand in one slot; ``tokens`` counts slots and ``block_size`` is slots a block. Where a
quantised cache needs scales, ``bytes_per_element`` includes their share.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def bytes_per_token(*, layers: int, kv_heads: int, head_dim: int, bytes_per_element: float) -> float:
    """Bytes that one token adds over all layers: one K and one V of ``[kv_heads, head_dim]`` a layer.

    GQA and MQA have fewer KV heads than query heads; nothing else changes.
    """
    return 2 * layers * kv_heads * head_dim * bytes_per_element


def mla_bytes_per_token(
    *, layers: int, kv_lora_rank: int, rope_head_dim: int, bytes_per_element: float
) -> float:
    """Bytes a token of multi-head latent attention: no factor 2, and no factor for heads.

    All heads share one latent of ``kv_lora_rank`` that holds K and V, and one rotary key (DeepSeek-V2,
    2405.04434, section 2.1.4, table 1: ``(d_c + d_h^R) l`` elements).
    """
    return layers * (kv_lora_rank + rope_head_dim) * bytes_per_element


def cached_tokens(tokens: int, window: int | None = None) -> int:
    """Slots that a layer needs for a sequence of ``tokens``: at most its sliding window, if it has one."""
    return tokens if window is None else min(tokens, window)


def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks of ``block_size`` slots that hold ``tokens``; the last one may be partly empty."""
    if tokens < 0 or block_size < 1:
        raise ValueError(f"{tokens} tokens in blocks of {block_size}: expected at least 0 and 1")
    return -(-tokens // block_size)


def last_block_waste(tokens: int, block_size: int) -> int:
    """Empty slots of the last block (internal fragmentation), from 0 to ``block_size - 1``."""
    return blocks_for(tokens, block_size) * block_size - tokens


def expected_last_block_waste(block_size: int) -> float:
    """``(block_size - 1) / 2`` slots a sequence, if lengths end anywhere in a block equally often."""
    return (block_size - 1) / 2


def paged_waste(lengths: Sequence[int], block_size: int) -> float:
    """Share of the allocated slots that hold no token when each sequence has blocks of its own."""
    return _waste(lengths, sum(blocks_for(tokens, block_size) for tokens in lengths) * block_size)


def reserved_waste(lengths: Sequence[int], reserved: int) -> float:
    """Share of the slots that hold no token when each sequence reserves ``reserved`` of them up front.

    ValueError where a sequence does not fit its reservation.
    """
    if lengths and max(lengths) > reserved:
        raise ValueError(f"a sequence of {max(lengths)} tokens does not fit {reserved} reserved slots")
    return _waste(lengths, len(lengths) * reserved)


def block_table_bytes(tokens: int, block_size: int, bytes_per_entry: int = 4) -> int:
    """Bytes of one sequence's block table: the number of a physical block for each logical one."""
    return blocks_for(tokens, block_size) * bytes_per_entry


def least_overhead_block_size(tokens: float, token_bytes: float, bytes_per_entry: float = 4) -> float:
    """Block size at which table and last-block waste together cost the fewest bytes; not rounded.

    They cost ``tokens / B * bytes_per_entry + B / 2 * token_bytes``, least at ``B = sqrt(2 tokens
    bytes_per_entry / token_bytes)``, the classic page size (Denning, Virtual Memory, 1970). 131,072 tokens
    of 128 KiB have it at 2.8: memory alone asks for tiny blocks, and only speed for larger ones.
    """
    return math.sqrt(2 * tokens * bytes_per_entry / token_bytes)


def largest_batch(free_bytes: float, tokens: int, token_bytes: float, block_size: int = 1) -> int:
    """Sequences of ``tokens`` each that fit into ``free_bytes`` at once, in whole blocks."""
    blocks = int(free_bytes // (block_size * token_bytes))
    return blocks // blocks_for(tokens, block_size)


def _waste(lengths: Sequence[int], slots: int) -> float:
    return 1 - sum(lengths) / slots if slots else 0.0
