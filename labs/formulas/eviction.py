"""Which cached prefix to forget: how popular prefixes are, what LRU then hits, what a block is worth.

A document is a prefix that several requests share; its size is in blocks. Popularity follows Zipf's law: the
document of rank ``r`` is asked for in proportion to ``r**-skew``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def zipf_popularity(documents: int, skew: float) -> list[float]:
    """The share of requests for each document, most popular first; sums to 1. ``skew`` 0: all alike."""
    weights = [rank**-skew for rank in range(1, documents + 1)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def lru_lifetime(popularity: Sequence[float], sizes: Sequence[float], own: float, capacity: float) -> float:
    """Requests for which LRU keeps a document that nobody asks for: Che's characteristic time.

    ``own`` blocks of each request are never asked for again, and stay as long. Solves
    ``own T + sum size (1 - exp(-p T)) = capacity`` by bisection; infinite where everything fits for ever.
    Che, Tung and Wang, IEEE JSAC 20(7), 2002, section III; independent requests are assumed.
    """

    def occupied(lifetime: float) -> float:
        kept = (size * -math.expm1(-p * lifetime) for p, size in zip(popularity, sizes, strict=True))
        return own * lifetime + math.fsum(kept)

    if not own and capacity >= math.fsum(sizes):
        return math.inf
    low, high = 0.0, 1.0
    while occupied(high) < capacity:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if occupied(middle) < capacity else (low, middle)
    return high


def lru_hit_ratio(popularity: Sequence[float], sizes: Sequence[float], own: float, capacity: float) -> float:
    """Share of blocks that LRU finds in the cache in the long run, by Che's approximation."""
    lifetime = lru_lifetime(popularity, sizes, own, capacity)
    pairs = list(zip(popularity, sizes, strict=True))
    hits = math.fsum(p * size * -math.expm1(-p * lifetime) for p, size in pairs)
    return hits / (own + math.fsum(p * size for p, size in pairs))


def most_popular_hit_ratio(
    popularity: Sequence[float], sizes: Sequence[float], own: float, capacity: float
) -> float:
    """Share of blocks found if the cache always holds the most popular documents and nothing else.

    What perfect knowledge of popularities (though not of the future) brings; the last document may be there
    in part, from its start on.
    """
    found, left = 0.0, capacity
    for p, size in sorted(zip(popularity, sizes, strict=True), reverse=True):
        kept = min(size, left)
        found, left = found + p * kept, left - kept
    return found / (own + math.fsum(p * size for p, size in zip(popularity, sizes, strict=True)))


def gdsf_priority(clock: float, frequency: int, cost: float, size: float) -> float:
    """GreedyDual-Size-Frequency: the lowest goes, and ``clock`` is set to its priority, which ages the rest.

    ``H = L + F C / S`` (Cherkasova, HP Laboratories report HPL-98-69R1, 1998): worth keeping is what is
    used often, costs much to make again, and takes little room.
    """
    return clock + frequency * cost / size


def block_prefill_flops(
    depth: int, block_size: int, linear_flops: float, attention_flops_per_pair: float
) -> float:
    """FLOPs to compute block ``depth`` (from 0) of a prefix again: its linear layers, and attention to all
    tokens before it and, causally, to its own."""
    pairs = block_size * block_size * depth + block_size * (block_size + 1) / 2
    return block_size * linear_flops + pairs * attention_flops_per_pair
