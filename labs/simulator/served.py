"""What the users got: the latencies of all requests, as the field defines them, in constant memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from labs.simulator.histogram import Histogram
from labs.simulator.ticks import NEVER, ticks


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A service level: a request keeps it if both its TTFT and its TPOT do (DistServe, 2401.09670)."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf


@dataclass(slots=True)
class Served:
    """Latencies in ticks. ``queueing`` lasts until a request is first admitted, ``ttft`` until its first
    token; ``tpot`` is the mean gap of each request's tokens, where it has two at least."""

    objective: Objective = field(default_factory=Objective)
    arrived: int = 0
    requests: int = 0
    kept: int = 0  # of these, how many kept the objective
    input_tokens: int = 0
    output_tokens: int = 0
    first_arrival: int = NEVER
    last_end: int = 0
    queueing: Histogram = field(default_factory=Histogram)
    ttft: Histogram = field(default_factory=Histogram)
    tpot: Histogram = field(default_factory=Histogram)
    end_to_end: Histogram = field(default_factory=Histogram)
    _most_ttft: int = field(init=False)
    _most_tpot: int = field(init=False)

    def __post_init__(self) -> None:
        self._most_ttft, self._most_tpot = _most(self.objective.ttft_s), _most(self.objective.tpot_s)

    def arrive(self, now: int) -> None:
        self.arrived += 1
        if now < self.first_arrival:
            self.first_arrival = now

    def end(
        self, prompt: int, generated: int, arrived: int, admitted: int, first_token: int, now: int
    ) -> None:
        """It has all its tokens ``now``; the other moments are ticks too."""
        self.requests += 1
        self.input_tokens += prompt
        self.output_tokens += generated
        ttft = first_token - arrived
        self.queueing.add(admitted - arrived)
        self.ttft.add(ttft)
        self.end_to_end.add(now - arrived)
        kept = ttft <= self._most_ttft
        if generated > 1:
            tpot = (now - first_token) // (generated - 1)
            self.tpot.add(tpot)
            kept = kept and tpot <= self._most_tpot
        self.kept += kept
        if now > self.last_end:
            self.last_end = now


def _most(seconds: float) -> int:
    return NEVER if math.isinf(seconds) else ticks(seconds)
