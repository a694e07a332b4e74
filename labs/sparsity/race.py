"""Ways to multiply, timed in turn, so that what disturbs one disturbs all; weights from memory or not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from labs.caches import rotate
from labs.measure import time_calls
from labs.relative_error import relative_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from labs.context import Context
    from labs.measure import Timing

    Call = Callable[[], object]

Source = Literal["memory", "cache"]

_BUDGET_S = 0.12
TOLERANCE = 1e-4


def raced(ctx: Context, timings: list[Timing], *calls: Call) -> list[float]:
    """Seconds of each, the 20th percentile of the better of two turns; ``timings`` gets them all."""
    best = [math.inf] * len(calls)
    for _ in range(2):
        for which, call in enumerate(calls):
            timing = time_calls(call, budget_s=_BUDGET_S / 2, check=ctx.check)
            best[which] = min(best[which], timing.low_s)
            timings.append(timing)
    return best


def in_turn(source: Source, make: Callable[[], tuple[Tensor, ...]]) -> Callable[[], tuple[Tensor, ...]]:
    """A weight's arrays: the same ones, which then stay in the cache, or copies in turn, which do not."""
    arrays = make()
    if source == "cache":
        return lambda: arrays
    size = sum(one.nbytes for one in arrays)
    return rotate(lambda: tuple(one.clone() for one in arrays), size, "cpu")


def right(out: Tensor, expected: Tensor) -> bool:
    """Within what fp32 sums in another order may differ by."""
    return relative_error(out, expected) <= TOLERANCE


def dense_call(weight: Tensor, x: Tensor, source: Source) -> Call:
    """``weight [n, k] @ x [k, m]`` by torch."""
    out, arrays = torch.empty(len(weight), x.shape[1]), in_turn(source, lambda: (weight,))
    return lambda: torch.mm(arrays()[0], x, out=out)
