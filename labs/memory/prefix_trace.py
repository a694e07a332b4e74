"""Requests that share prefixes: documents by Zipf's law, with answers of their own, fashions and one-offs."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.formulas.eviction import zipf_popularity

if TYPE_CHECKING:
    from labs.memory.eviction import Chain

LONGEST = 64  # blocks of a document


@dataclass(frozen=True)
class PrefixTrace:
    """``chains`` name the blocks of each request: its document's, then ``own`` that nobody asks for again.

    ``popularity`` and ``sizes`` are the documents', most popular first, before any change of fashion.
    """

    chains: list[Chain]
    popularity: list[float]
    sizes: list[int]
    own: int

    @property
    def document_blocks(self) -> int:
        return sum(self.sizes)


def make_trace(
    *,
    requests: int,
    documents: int,
    skew: float,
    mean_blocks: float,
    own: int,
    one_off: float,
    fashion: int,
    seed: int,
) -> PrefixTrace:
    """``one_off`` is the share of requests for a document that is never asked for again. After each
    ``fashion`` requests (0: never) the ranks move on by a quarter of the documents: what was in is out."""
    draw = random.Random(f"{seed}/prefixes")
    sizes = [_blocks(draw, mean_blocks) for _ in range(documents)]
    popularity = zipf_popularity(documents, skew)
    cumulated = list(itertools.accumulate(popularity))
    names = itertools.count()
    named = [tuple(itertools.islice(names, size)) for size in sizes]
    chains: list[Chain] = []
    for index in range(requests):
        if draw.random() < one_off:
            document: Chain = tuple(itertools.islice(names, _blocks(draw, mean_blocks)))
        else:
            rank = draw.choices(range(documents), cum_weights=cumulated)[0]
            moved = index // fashion * (documents // 4) if fashion else 0
            document = named[(rank + moved) % documents]
        chains.append(document + tuple(itertools.islice(names, own)))
    return PrefixTrace(chains, popularity, sizes, own)


def _blocks(draw: random.Random, mean: float) -> int:
    """At least one; exponential, so that short and long documents both occur."""
    return min(LONGEST, 1 + round(draw.expovariate(1 / max(mean - 1, 1e-9))))
