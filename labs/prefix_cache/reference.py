"""How much of each prompt a cache that never forgets would spare: worked out from tokens alone.

The naive reference of the engine's prefix cache, and the bound of any cache with less room.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from labs.formulas.prefill import reusable_prefix
from labs.simulator.job import block_keys

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from labs.simulator.traces import Request


def shared_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens at the start that both have."""
    length = min(len(one), len(other))
    return next((at for at in range(length) if one[at] != other[at]), length)


def longest_shared(prompt: Sequence[int], stored: Iterable[Sequence[int]]) -> int:
    """Tokens at the start of ``prompt`` that one of ``stored`` has too."""
    return max((shared_prefix(prompt, one) for one in stored), default=0)


def spared(prompt: Sequence[int], stored: Iterable[Sequence[int]], block_size: int) -> int:
    """Of ``prompt``, the tokens that need not be computed where the KV of all of ``stored`` is kept."""
    return reusable_prefix(longest_shared(prompt, stored), len(prompt), block_size)


def spared_in_order(requests: Iterable[Request], block_size: int) -> Iterator[int]:
    """Of each request's prompt, the tokens spared if it comes when all before it have been computed."""
    known: set[Hashable] = set()
    for request in requests:
        keys = block_keys(request, block_size)
        found = sum(1 for _ in itertools.takewhile(known.__contains__, keys))
        yield reusable_prefix(found * block_size, request.input_tokens, block_size)
        known.update(keys)
