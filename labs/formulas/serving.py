"""What a user of a serving system waits for, from the times of the tokens: TTFT, ITL, TPOT, goodput.

Times are seconds on one clock. ``token_times`` are when each output token left the server, in order. The
definitions are those of vLLM's serving benchmark and of DistServe (2401.09670).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def ttft(arrival_s: float, token_times: Sequence[float]) -> float:
    """Time to first token: queueing and prefill, all that passes before anything is seen."""
    return token_times[0] - arrival_s


def inter_token_latencies(token_times: Sequence[float]) -> list[float]:
    """ITL: the gap before each output token but the first. A stall shows here, not in the mean."""
    return [after - before for before, after in pairwise(token_times)]


def tpot(token_times: Sequence[float]) -> float | None:
    """Time per output token: the mean gap, the first token not counted. None with one token: no gap."""
    if len(token_times) < 2:
        return None
    return (token_times[-1] - token_times[0]) / (len(token_times) - 1)


def end_to_end(arrival_s: float, token_times: Sequence[float]) -> float:
    """Latency of the whole answer: ``ttft + tpot * (tokens - 1)``."""
    return token_times[-1] - arrival_s


def meets_slo(ttft_s: float, tpot_s: float | None, ttft_slo_s: float, tpot_slo_s: float) -> bool:
    """Whether both objectives are kept; an answer of one token has no TPOT to miss."""
    return ttft_s <= ttft_slo_s and (tpot_s is None or tpot_s <= tpot_slo_s)


def goodput(met: Sequence[bool], duration_s: float) -> float:
    """Requests a second that kept their objectives; throughput counts the others too.

    DistServe calls goodput the highest *offered* rate at which a share, such as 90 %, still keeps them.
    """
    return sum(met) / duration_s


def attainment(met: Sequence[bool]) -> float:
    """Share of requests that kept their objectives; 1.0 of none."""
    return sum(met) / len(met) if met else 1.0


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear interpolation between the two nearest ranks, as numpy's default. ValueError without values."""
    if not values or not 0 <= percent <= 100:
        raise ValueError(f"percentile {percent} of {len(values)} values")
    ordered = sorted(values)
    rank = percent / 100 * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)
