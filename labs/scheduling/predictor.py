"""A length predictor with an error that one can set: what it says is off by a log-normal factor."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labs.simulator.traces import Request


def noisy(error: float, seed: int) -> Callable[[Request], int]:
    """Output tokens times ``exp(error z)``, ``z`` standard normal: an ``error`` of 0.7 is off by a factor of
    two, one way or the other, in a third of the cases. The same request always gets the same prediction, and
    a larger error the same ``z``: curves over it are smooth."""

    def predict(request: Request) -> int:
        z = random.Random(f"{seed}/{request.arrival_s}").gauss(0, 1)
        return max(1, round(request.output_tokens * math.exp(error * z)))

    return predict


def kendall_tau(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation (tau-a) over all pairs: 1 the same order, 0 none in common, -1 reversed."""
    import numpy as np

    x, y = np.asarray(one, float), np.asarray(other, float)
    agree = np.sign(x[:, None] - x[None, :]) * np.sign(y[:, None] - y[None, :])
    count = len(x)
    return float(agree.sum() / (count * (count - 1))) if count > 1 else 1.0
