"""What a step of the real engine takes, as a straight line through its own steps: a cost model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labs.simulator.cost import Ramp
from labs.simulator.ticks import NEVER, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labs.engine.engine import StepRecord
    from labs.results import Array


@dataclass(frozen=True)
class StepCost:
    """A step's time as a straight line, fitted on the engine's own steps: ``step_s + tokens * token_s +
    sequences * sequence_s``. ``mean_s`` is the mean of these steps."""

    step_s: float
    token_s: float
    sequence_s: float
    mean_s: float = 0.0

    def linear(self, tokens: int, sequences: int) -> int:
        return ticks(self.step_s + tokens * self.token_s + sequences * self.sequence_s)

    def prefill_attention(self, tokens: int, cached: int) -> int:
        return 0

    def decode_attention(self, rows: int, context: int) -> Ramp:
        return Ramp(0, 0, NEVER)

    def swap(self, tokens: int) -> int:
        return 0


def fit(steps: Sequence[StepRecord]) -> StepCost:
    """Least absolute deviations, none negative: a step that the machine held up for something else must not
    bend the line. A step's tokens are its prefill tokens and its decode rows."""
    columns = np.array([[1.0, one.prefill_tokens + one.decode_tokens, one.decode_tokens] for one in steps])
    taken = np.array([one.end_s - one.start_s for one in steps])
    used = [0, 1, 2]
    while True:
        found = _least_absolute(columns[:, used], taken)
        if (found >= 0).all() or len(used) == 1:
            break
        used = [column for column, value in zip(used, found, strict=True) if value >= 0] or [0]
    full = np.zeros(3)
    full[used] = found
    step_s, token_s, sequence_s = map(float, full)
    return StepCost(step_s, token_s, sequence_s, mean_s=float(taken.mean()))


def _least_absolute(columns: Array, taken: Array) -> Array:
    """By least squares that are weighted anew some ten times."""
    weight = np.ones(len(taken))
    for _ in range(12):
        root = np.sqrt(weight)[:, None]
        found, *_ = np.linalg.lstsq(columns * root, taken * root[:, 0], rcond=None)
        weight = 1 / np.maximum(np.abs(taken - columns @ found), 1e-5)
    return np.asarray(found)
