"""Requests that begin with one of a few shared prefixes, some far more popular than others."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import msgspec

from labs.simulator.traces import HASH_BLOCK_TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from labs.simulator.traces import Request

# System prompts, documents: this many, of so many blocks of HASH_BLOCK_TOKENS, the n-th as popular as 1 / n.
PREFIXES, PREFIX_BLOCKS = 48, 3


def with_prefixes(requests: Iterable[Request], seed: int) -> list[Request]:
    """Each prompt gets a prefix of PREFIX_BLOCKS blocks before it; what follows is its own."""
    draw = random.Random(f"{seed}/prefixes")
    weights = list(itertools.accumulate(1 / number for number in range(1, PREFIXES + 1)))
    found = []
    for number, request in enumerate(requests):
        prefix = draw.choices(range(PREFIXES), cum_weights=weights)[0]
        tokens = PREFIX_BLOCKS * HASH_BLOCK_TOKENS + request.input_tokens
        shared = tuple(prefix * PREFIX_BLOCKS + block for block in range(PREFIX_BLOCKS))
        own = tuple(
            -(1 + number * 16 + block) for block in range(-(-request.input_tokens // HASH_BLOCK_TOKENS))
        )
        found.append(msgspec.structs.replace(request, input_tokens=tokens, hash_ids=shared + own))
    return found
