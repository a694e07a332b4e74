"""What a step takes, as a straight line through measured steps: a cost model without a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from labs.simulator.cost import Ramp
from labs.simulator.ticks import NEVER, ticks

if TYPE_CHECKING:
    from labs.results import Array


class LineCost(NamedTuple):
    """``step_s + tokens * token_s + sequences * sequence_s``. Attention is no part of it, which serves where
    lengths are short."""

    step_s: float
    token_s: float = 0.0
    sequence_s: float = 0.0

    def linear(self, tokens: int, sequences: int) -> int:
        return ticks(self.step_s + tokens * self.token_s + sequences * self.sequence_s)

    def prefill_attention(self, tokens: int, cached: int) -> int:
        return 0

    def decode_attention(self, rows: int, context: int) -> Ramp:
        return Ramp(0, 0, NEVER)

    def swap(self, tokens: int) -> int:
        return 0


def fit_line(tokens: Array, sequences: Array, taken_s: Array) -> LineCost:
    """Least absolute deviations, none negative: a step that the machine held up for something else must not
    bend the line. An entry a step."""
    columns = np.stack([np.ones(len(taken_s)), tokens, sequences], axis=1)
    used = [0, 1, 2]
    while True:
        found = _least_absolute(columns[:, used], taken_s)
        if (found >= 0).all() or len(used) == 1:
            break
        used = [column for column, value in zip(used, found, strict=True) if value >= 0] or [0]
    full = np.zeros(3)
    full[used] = found
    return LineCost(*map(float, full))


def _least_absolute(columns: Array, taken: Array) -> Array:
    """By least squares that are weighted anew some ten times."""
    weight = np.ones(len(taken))
    for _ in range(12):
        root = np.sqrt(weight)[:, None]
        found, *_ = np.linalg.lstsq(columns * root, taken * root[:, 0], rcond=None)
        weight = 1 / np.maximum(np.abs(taken - columns @ found), 1e-5)
    return np.asarray(found)
