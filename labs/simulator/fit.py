"""The few constants of the roofline, fitted to measured throughput: a pattern search, the same every time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from labs.simulator.cost import IDEAL, Constants

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Final

    from labs.simulator.offline import OfflineRun


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """Constants, memory of each device that holds neither weights nor KV, and the mean absolute log error
    of the runs that they were fitted to."""

    constants: Constants
    reserved_bytes: float
    error: float


# Where the search starts: a share that is easily reached, an overhead that is small; and the bounds.
_START: Final = {
    "compute": (0.7, 0.3, 1.0),
    "attention": (0.6, 0.1, 1.0),
    "bandwidth": (0.85, 0.3, 1.0),
    "kv_bandwidth": (0.85, 0.3, 1.0),
    "link": (0.5, 0.1, 1.0),
    "step_s": (1e-3, 1e-6, 20e-3),
    "sequence_s": (2e-6, 1e-8, 50e-6),
    "collective_s": (10e-6, 1e-7, 100e-6),
    "reserved_bytes": (4e9, 1e8, 12e9),
}
_ROUNDS: Final = 40


def fit(runs: Sequence[OfflineRun], source: str) -> Fitted:
    """Constants that make the estimates of ``runs`` closest to what was reported, in the mean of |log|."""

    def error(values: dict[str, float]) -> float:
        shares = dict(values)
        reserved = shares.pop("reserved_bytes")
        constants = msgspec.structs.replace(IDEAL, **shares)
        logs = (math.log(run.estimate(constants, reserved) / run.reported) for run in runs)
        return sum(map(abs, logs)) / len(runs)

    values, least = search(error, _START, _ROUNDS)
    reserved = values.pop("reserved_bytes")
    constants = msgspec.structs.replace(IDEAL, **values, source=source)
    return Fitted(constants=constants, reserved_bytes=reserved, error=least)


def search(
    error: Callable[[dict[str, float]], float],
    start: dict[str, tuple[float, float, float]],
    rounds: int,
) -> tuple[dict[str, float], float]:
    """The least ``error`` that is found by changing one value at a time, by a factor; where neither up nor
    down helps, by a smaller one (Hooke and Jeeves, 1961). ``start`` has first guesses and bounds."""
    values = {name: first for name, (first, _, _) in start.items()}
    factors = dict.fromkeys(start, 0.3)
    least = error(values)
    for _ in range(rounds):
        for name, (_, low, high) in start.items():
            for sign in (1, -1):
                moved = min(high, max(low, values[name] * (1 + sign * factors[name])))
                tried = values | {name: moved}
                if (found := error(tried)) < least:
                    values, least = tried, found
                    break
            else:
                factors[name] *= 0.6
    return values, least
