"""Conversations as a request trace: what a prompt shares with those before it, told by hash ids.

Synthetic, in Mooncake's terms (a hash id for 512 tokens and all before them; Qin et al., arXiv:2407.00079):
sessions begin by chance, one of a few system prompts in front, and each turn's prompt is all that was said.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labs.simulator.traces import HASH_BLOCK_TOKENS, Request

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Sessions:
    """``rate_per_s`` sessions begin a second. Each has ``turns`` turns on average (geometric), ``think_s``
    apart on average, whose question and answer have ``turn_tokens`` tokens on average (exponential). One of
    ``system_prompts`` of ``system_tokens`` each stands in front, the k-th chosen in proportion to 1/k."""

    requests: int = 600
    rate_per_s: float = 0.5
    turns: float = 4.0
    think_s: float = 30.0
    turn_tokens: float = 800.0
    answer_tokens: int = 200
    system_prompts: int = 8
    system_tokens: int = 1024


@dataclass
class _Session:
    ids: list[int]
    tokens: int


def session_requests(sessions: Sessions, seed: int) -> Iterator[Request]:
    """``requests`` of them in order of arrival. The same seed, the same trace."""
    draw = random.Random(f"{seed} sessions")
    fresh = itertools.count()
    system_blocks = sessions.system_tokens // HASH_BLOCK_TOKENS
    systems = [[next(fresh) for _ in range(system_blocks)] for _ in range(sessions.system_prompts)]
    weights = [1 / (rank + 1) for rank in range(sessions.system_prompts)]
    coming: list[tuple[float, int, _Session]] = []
    numbers, begin_s = itertools.count(), 0.0
    for _ in range(sessions.requests):
        while not coming or coming[0][0] >= begin_s:
            chosen = draw.choices(systems, weights)[0] if systems else []
            session = _Session(list(chosen), len(chosen) * HASH_BLOCK_TOKENS)
            heapq.heappush(coming, (begin_s, next(numbers), session))
            begin_s += draw.expovariate(sessions.rate_per_s)
        at_s, _, session = heapq.heappop(coming)
        yield _turn(session, sessions, at_s, draw, fresh)
        if draw.random() >= 1 / sessions.turns:
            again_s = at_s + draw.expovariate(1 / sessions.think_s)
            heapq.heappush(coming, (again_s, next(numbers), session))


def _turn(
    session: _Session, sessions: Sessions, at_s: float, draw: random.Random, fresh: Iterator[int]
) -> Request:
    """The prompt grows; a block that it fills further is another one, for an id names its contents."""
    session.tokens += max(1, round(draw.expovariate(1 / sessions.turn_tokens)))
    full, rest = divmod(session.tokens, HASH_BLOCK_TOKENS)
    kept = session.ids[:full]
    session.ids = kept + [next(fresh) for _ in range(full - len(kept))]
    ids = session.ids + ([next(fresh)] if rest else [])
    return Request(at_s, session.tokens, sessions.answer_tokens, tuple(ids))
