"""What one decode step of attention moves and computes, and what paging, forks and prefixes add or spare.

One layer, one new token a sequence; ``lengths`` count the tokens that each sequence attends to, itself
included. Kwon et al., PagedAttention (SOSP 2023, 2309.06180).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.kv_cache import blocks_for

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Traffic:
    """Bytes that must cross the memory bus once, and FLOPs, of one layer's decode attention."""

    kv_bytes: float
    table_bytes: int
    query_bytes: float
    flops: int

    @property
    def moved_bytes(self) -> float:
        return self.kv_bytes + self.table_bytes + self.query_bytes

    @property
    def intensity(self) -> float:
        """FLOPs a byte: close to ``2 * heads / kv_heads / bytes an element`` with long contexts."""
        return self.flops / self.moved_bytes


def decode_traffic(
    lengths: Sequence[int],
    *,
    heads: int,
    kv_heads: int,
    head_dim: int,
    kv_element_bytes: float,
    block_size: int = 0,
    query_element_bytes: float = 4,
    table_entry_bytes: int = 4,
) -> Traffic:
    """Each key and value is read once and serves its whole group of query heads; ``block_size`` 0: no table.

    FLOPs: a multiply and an add for each number of K and again of V, for each query head.
    """
    tokens = sum(lengths)
    entries = sum(blocks_for(length, block_size) for length in lengths) if block_size else 0
    return Traffic(
        kv_bytes=2 * tokens * kv_heads * head_dim * kv_element_bytes,
        table_bytes=entries * table_entry_bytes,
        query_bytes=2 * len(lengths) * heads * head_dim * query_element_bytes,  # the query, and the result
        flops=4 * tokens * heads * head_dim,
    )


@dataclass(frozen=True)
class KernelTraffic:
    """Bytes that a paged attention kernel and its merge read and write: ``read`` and ``written`` each once,
    ``loaded`` with what is loaded again."""

    read: int
    written: int
    loaded: int


def kernel_traffic(
    lengths: Sequence[int],
    *,
    heads: int,
    kv_heads: int,
    head_dim: int,
    element_bytes: int,
    block_size: int,
    parts: int = 1,
) -> KernelTraffic:
    """A program for each sequence, KV head and part: it loads its queries, its part of K and V, a table entry
    for each position (neighbours share it), and leaves a weighted sum with its maximum and total in fp32,
    which a merge reads."""
    kv = decode_traffic(
        lengths,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        kv_element_bytes=element_bytes,
        block_size=block_size,
        query_element_bytes=element_bytes,
    )
    out = len(lengths) * heads * head_dim * element_bytes
    between = 4 * len(lengths) * heads * parts * (head_dim + 2)
    read = int(kv.kv_bytes + kv.table_bytes) + 4 * len(lengths) + out + between
    entries = 4 * sum(lengths) * kv_heads
    again = (parts - 1) * out + entries - int(kv.table_bytes) + 4 * len(lengths) * (kv_heads * parts - 1)
    return KernelTraffic(read, out + between, read + again)


def kernel_flops(
    lengths: Sequence[int], *, heads: int, kv_heads: int, head_dim: int, rows: int, tile: int, parts: int = 1
) -> tuple[int, int]:
    """FLOPs in products and in all else, of whole tiles of ``tile`` positions and ``rows`` queries (those
    that fill up a group among them), where every length is a multiple of ``tile * parts``.

    A score: its scale, its part in the maximum, minus it, exp, its part in the sum. A row of a tile: the
    larger maximum, the difference, its exp, the total shrunk and added to. A number of the result: shrunk and
    added to. The merge: five for each part, two for each of its numbers, a division for each of the result.
    """
    tiles = sum(lengths) // tile * kv_heads
    matrix = 4 * tiles * rows * tile * head_dim
    vector = tiles * (5 * rows * tile + 5 * rows + 2 * rows * head_dim)
    merged = len(lengths) * heads * (5 * parts + 2 * parts * head_dim + head_dim)
    return matrix, vector + merged


def gathered_traffic(traffic: Traffic) -> float:
    """Bytes moved if blocks are first copied together and then attended to: KV read, written, read again."""
    return traffic.moved_bytes + 2 * traffic.kv_bytes


def copies_of_forks(forks: int, block_size: int) -> float:
    """Blocks that copy-on-write copies after ``forks`` forks, on average over where in a block they happen.

    A last block that is exactly full is shared for ever: the next token goes into a new block.
    """
    return forks * (1 - 1 / block_size)


def reordered_tokens(beams: int, prompt: int, new_tokens: int) -> int:
    """Tokens whose KV is copied if beam search without paging rebuilds all beams' caches after each step.

    So transformers' ``reorder_cache`` does (``index_select`` over the whole cache), from the second token on:
    step ``t`` copies ``beams`` caches of ``prompt + t`` tokens.
    """
    return beams * sum(prompt + step for step in range(1, new_tokens))


def shared_prefix_tokens(tokens: int, block_size: int) -> int:
    """Tokens of a common prefix that whole blocks can share."""
    return tokens // block_size * block_size


def beam_slots(beams: int, shared: int, own: int, block_size: int) -> int:
    """Slots of ``beams`` beams with a common past of ``shared`` tokens and ``own`` ones of each.

    The common whole blocks exist once; the block in which they part, and all after it, once a beam.
    """
    common = shared // block_size
    return (common + beams * (blocks_for(shared + own, block_size) - common)) * block_size
