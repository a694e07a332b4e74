"""What a token costs with the cache and without: the same kernels, given the whole text or one token.

Without a cache every token recomputes all before it. The runner does so when it is given the whole text as
new; with the cache it is given the last token alone. Nothing else differs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from labs.engine.work import Work
from labs.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from labs.context import Context
    from labs.engine.model_runner import ModelRunner

REPEATS = 3
SHORTEST = 16


@dataclass(frozen=True)
class TokenTime:
    """Medians in s of computing the token after ``length - 1`` others. ``same``: both ways choose the same
    next token; ``difference`` is between their logits, at most."""

    length: int
    cached_s: float
    recomputed_s: float
    same: bool
    difference: float


def lengths_up_to(longest: int) -> list[int]:
    """Doubling from ``SHORTEST`` on, ``longest`` the last."""
    found, length = [], SHORTEST
    while length < longest:
        found.append(length)
        length *= 2
    return [*found, longest]


def token_times(ctx: Context, runner: ModelRunner, ids: list[int], longest: int) -> Iterator[TokenTime]:
    """One for each length. ``ids`` are repeated as often as needed: time does not depend on what they say."""
    text = (ids * (longest // len(ids) + 1))[:longest]
    blocks = list(range(-(-longest // runner.block_size)))
    lengths = lengths_up_to(longest)
    for index, length in enumerate(lengths):
        ctx.progress(index / len(lengths), Text(zh=f"长 {length}，不用缓存", en=f"length {length}, no cache"))
        whole = Work(text[:length], 0, blocks, sample=True)
        last = Work(text[length - 1 : length], length - 1, blocks, sample=True)
        recomputed, all_logits = _timed(ctx, lambda work=whole: runner.step([work]))  # type: ignore[misc]
        cached, logits = _timed(ctx, lambda work=last: runner.step([work]))  # type: ignore[misc]
        yield TokenTime(
            length,
            cached,
            recomputed,
            bool(all_logits.argmax() == logits.argmax()),
            float((all_logits - logits).abs().max()),
        )


def _timed(ctx: Context, call: Callable[[], Tensor]) -> tuple[float, Tensor]:
    seconds = []
    for _ in range(REPEATS):
        ctx.check()
        begin = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - begin)
    return median(seconds), result
