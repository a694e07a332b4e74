"""A request on its way through a simulated replica: a sequence of the engine that knows lengths only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.engine.sequence import Sequence
from labs.simulator.traces import HASH_BLOCK_TOKENS, Request

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(slots=True, eq=False)
class Job(Sequence):
    """``arrived``, ``first_token`` and ``last_token`` are ticks. The last one is that of its newest token;
    while it steps with the others (``stepping``) it is not kept up to date, as theirs is the same."""

    request: Request | None = None
    arrived: int = 0
    first_token: int = 0
    last_token: int = 0
    stepping: bool = False


def block_keys(request: Request, block_size: int) -> list[Hashable]:
    """Names of the prompt's full blocks. A hash id names its tokens and all before them, so does a key."""
    ids = request.hash_ids
    covered = min(request.input_tokens, len(ids) * HASH_BLOCK_TOKENS)
    return [(ids[(end - 1) // HASH_BLOCK_TOKENS], end) for end in range(block_size, covered + 1, block_size)]
